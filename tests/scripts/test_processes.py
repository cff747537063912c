"""Child processes: whole sessions end, also when their parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.processes import Process, rotate, session_members, tail, wait_until

SHELL_WITH_CHILD = "sleep 300 & echo started $!; wait"
DEAF_SHELL = "trap '' TERM; echo started $$; while true; do sleep 0.1; done"
PARENT = """
import sys, time
from pathlib import Path
from scripts.processes import Process
child = Process("child", ["sleep", "300"], env={}, log=Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(300)
"""


def shell(folder: Path, script: str) -> Process:
    """Start a shell script and wait for its first line."""
    process = Process("script", ["/bin/sh", "-c", script], env=dict(os.environ), log=folder / "script.log")
    process.start()
    assert wait_until(lambda: "started" in tail(process.log), 10)
    return process


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and has not ended."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_stop_ends_children_of_the_child(tmp_path: Path) -> None:
    process = shell(tmp_path, SHELL_WITH_CHILD)
    grandchild = int(tail(process.log).split()[-1])
    assert is_alive(grandchild)

    assert process.stop(5)

    assert wait_until(lambda: not is_alive(grandchild), 5)


def test_stop_reaches_a_child_that_left_the_process_group(tmp_path: Path) -> None:
    script = (
        f'{sys.executable} -c \'import os, time; os.setpgrp(); print("started", os.getpid(), flush=True);'
    )
    process = shell(tmp_path, script + " time.sleep(300)' & wait")
    grandchild = int(tail(process.log).split()[-1])
    assert grandchild in session_members(process.pid or 0)

    process.stop(5)

    assert wait_until(lambda: not is_alive(grandchild), 5)


def test_stop_kills_what_ignores_the_request(tmp_path: Path) -> None:
    process = shell(tmp_path, DEAF_SHELL)
    pid = process.pid or 0

    assert not process.stop(0.3)

    assert not is_alive(pid)


@pytest.mark.faults
def test_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "child.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert is_alive(child)

        parent.send_signal(signal.SIGKILL)
        parent.wait()

    assert wait_until(lambda: not is_alive(child), 5)


def test_child_of_a_shell_that_ignores_interrupts_can_be_interrupted(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = shell(tmp_path, "echo started; exec sleep 300")
    finally:
        signal.signal(signal.SIGINT, before)

    assert process.stop(5, with_signal=signal.SIGINT)


def test_rotate_keeps_the_last_three(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for number in range(5):
        log.write_text(str(number))
        rotate(log)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "web.log.1": "4",
        "web.log.2": "3",
        "web.log.3": "2",
    }
