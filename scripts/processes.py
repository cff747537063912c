"""Child processes that die with their parent, log to a file and are stopped as whole sessions."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

KEPT_LOGS = 3
TAIL_LINES = 25
TICK_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
# Loaded once here: nothing may be imported or opened between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: int = signal.SIGTERM) -> Callable[[], None]:
    """Return a function for `preexec_fn` that makes the kernel signal the child when its parent dies."""
    parent = os.getpid()

    def prepare() -> None:
        # A background shell hands SIGINT over ignored, and an ignored signal survives exec.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def session_members(session: int) -> list[int]:
    """Return the ids of all live processes of a session; empty where there is no /proc."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command name in brackets may contain blanks, so fields are counted behind the last bracket.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            members.append(int(stat.parent.name))
    return members


def kill_session(session: int) -> None:
    """Kill whatever is left of a session, also what left the process group, such as a forked job."""
    if sys.platform != "linux":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
    for pid in session_members(session):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(TICK_SECONDS)
    return True


def rotate(log: Path) -> None:
    """Move `x.log` to `x.log.1` and so on; the oldest of KEPT_LOGS is dropped."""
    for number in range(KEPT_LOGS, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, or an empty text when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


class Process:
    """One command in a session of its own, with a log file; it may be started again."""

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.log = log
        self.cwd: Path | None = None
        # Name of another account to run as; only root may set it.
        self.account: str | None = None
        self.death_signal: int = signal.SIGTERM
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Start the command; its output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.cwd,
                user=self.account,
                group=None if self.account is None else pwd.getpwnam(self.account).pw_gid,
                extra_groups=None if self.account is None else [],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Safe here: the processes that start others have no threads of their own.
                preexec_fn=die_with_parent(self.death_signal),  # noqa: PLW1509
            )

    def exit_status(self) -> int | None:
        """Return the exit status (negative: the signal), or None while the process runs."""
        return self._popen.poll() if self._popen else None

    def is_running(self) -> bool:
        """Tell whether the process was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def send(self, number: int) -> None:
        """Send a signal to the process itself; nothing happens when it has ended."""
        if self._popen is not None:
            self._popen.send_signal(number)

    def stop(self, seconds: float, *, with_signal: int = signal.SIGTERM) -> bool:
        """Ask, wait at most `seconds`, then kill what is left of the session; False if it was killed."""
        if self._popen is None:
            return True
        self.send(with_signal)
        has_ended = wait_until(lambda: not self.is_running(), seconds)
        kill_session(self._popen.pid)
        self._popen.wait()
        self._popen = None
        return has_ended
