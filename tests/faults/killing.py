"""Kills a child of this process at its n-th write, with strace, as it does the product's work.

The child is forked with the application loaded and no connection open; strace attaches before it begins,
so that n counts what the work does and nothing else. A signal that strace injects strikes before the call is
made: point n is everything up to the n-th call, without it.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

from scripts.processes import wait_until

WRITES = "write,writev,pwrite64,pwritev,fdatasync,fsync,ftruncate,unlink,sendto,sendmsg"
# Between two writes the work locks, reads and waits: it may die there as well.
ALL = f"{WRITES},fcntl,pread64,recvfrom,connect,close"
SECONDS = 60
PR_SET_PTRACER, ANYBODY = 0x59616D61, -1


def count_calls(work: Callable[[], object], folder: Path, calls: str = WRITES) -> int:
    """Do *work* in a child that lives on, and return how many *calls* it makes."""
    log = folder / "calls.log"
    status = _run(work, ["-e", f"trace={calls}", "-o", str(log)])
    assert status == 0, f"the work failed: {status}"
    return len(re.findall(r"^\d+ +\w+\(", log.read_text(errors="replace"), re.MULTILINE))


def kill_at(number: int, work: Callable[[], object], calls: str = WRITES) -> bool:
    """Do *work* in a child that dies at the call *number*, and tell whether it got so far."""
    inject = f"inject={calls}:signal=KILL:when={number}"
    status = _run(work, ["-e", f"trace={calls}", "-e", inject, "-o", os.devnull])
    assert status in (0, -signal.SIGKILL), f"the work failed: {status}"
    return status != 0


def _run(work: Callable[[], object], options: list[str]) -> int:
    """Fork, attach strace, let the child work, and return its exit status, below 0 for a signal."""
    waiting, begin = os.pipe()
    child = os.fork()
    if child == 0:
        _work_in_child(work, waiting, begin)
    os.close(waiting)
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", *options, "-p", str(child)], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        attached = wait_until(lambda: _is_traced(child) or tracer.poll() is not None, 20)
        assert attached and tracer.poll() is None, "strace cannot attach"
        os.write(begin, b"1")
        return _await(child)
    finally:
        os.close(begin)
        if tracer.poll() is None and not wait_until(lambda: tracer.poll() is not None, 5):
            tracer.kill()
        tracer.communicate()


def _work_in_child(work: Callable[[], object], waiting: int, begin: int) -> None:
    status = 1
    try:
        os.close(begin)
        # Where only parents may trace, everybody may trace this one.
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY)
        os.read(waiting, 1)
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Nothing of the test run that was copied may be finished here.
        os._exit(status)


def _is_traced(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    return re.search(r"^TracerPid:\s+[1-9]", status, re.MULTILINE) is not None


def _await(child: int) -> int:
    ended: list[int] = []

    def is_over() -> bool:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            ended.append(os.waitstatus_to_exitcode(status))
        return bool(found)

    if not wait_until(is_over, SECONDS):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise AssertionError("the child does not end")
    return ended[0]


def spread(total: int, count: int) -> list[int]:
    """Return at most *count* of the numbers from 1 to *total* + 1, the first and the last among them."""
    last = total + 1
    if last <= count:
        return list(range(1, last + 1))
    return sorted({1 + round(step * (last - 1) / (count - 1)) for step in range(count)})
