"""The supervisor restarts what crashes, gives up where starting is hopeless and stops in order."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.processes import Process, tail
from scripts.supervisor import StartFailed, StopRequested, Supervisor, errors_of


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A supervisor that speaks into memory and leaves nothing running."""
    one = Supervisor(stop_order=("web", "worker", "redis"), console=io.StringIO())
    yield one
    one.stop()


def script(folder: Path, name: str, text: str) -> Process:
    """Describe a shell script as a program."""
    return Process(name, ["/bin/sh", "-c", text], env=dict(os.environ), log=folder / f"{name}.log")


def spoken(supervisor: Supervisor) -> str:
    """Return what the supervisor told the operator."""
    assert isinstance(supervisor.console, io.StringIO)
    return supervisor.console.getvalue()


def test_crashed_program_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.is_settled = True
    supervisor.add(script(tmp_path, "web", "echo start; sleep 300"), stop_seconds=2)
    supervisor.wait_for(lambda: tail(tmp_path / "web.log") == "start", 5, "first start")

    os.kill(supervisor.programs["web"].process.pid or 0, signal.SIGKILL)

    supervisor.wait_for(lambda: tail(tmp_path / "web.log") == "start\nstart", 5, "second start")
    assert "[web] ended with status -9" in spoken(supervisor)


def test_pause_before_a_restart_doubles(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.is_settled = True
    supervisor.add(script(tmp_path, "web", "exit 3"), stop_seconds=2)

    supervisor.wait_for(lambda: supervisor.programs["web"].starts == 3, 10, "three starts")

    assert "next start in 0.5 s\n" in spoken(supervisor)
    assert "next start in 1 s\n" in spoken(supervisor)


def test_program_that_keeps_ending_at_the_start_is_given_up_with_its_log(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.add(script(tmp_path, "web", "echo cannot bind; exit 3"), stop_seconds=2)

    with pytest.raises(StartFailed, match=r"web keeps ending \(status 3\):\n(.*\n)*cannot bind"):
        supervisor.wait_for(lambda: False, 30, "never")


def test_waiting_too_long_shows_the_logs(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(script(tmp_path, "web", "echo still loading; sleep 300"), stop_seconds=2)

    with pytest.raises(StartFailed, match=r"not ready after 1 s\.\n--- web\nstill loading"):
        supervisor.wait_for(lambda: False, 1, "not ready")


def test_failed_step_shows_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="setup failed:\nno such table"):
        supervisor.run_once(script(tmp_path, "setup", "echo no such table; exit 1"), seconds=10)


def test_programs_stop_in_order(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "order"
    for name in ("redis", "worker", "web"):
        text = f"trap 'echo {name} >> {note}; exit 0' TERM; echo ready; while true; do sleep 0.05; done"
        supervisor.add(script(tmp_path, name, text), stop_seconds=5)
        supervisor.wait_for(lambda log=tmp_path / f"{name}.log": tail(log) == "ready", 5, name)  # type: ignore[misc]

    supervisor.stop()

    assert note.read_text().split() == ["web", "worker", "redis"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_noticed_although_the_shell_ignored_it(supervisor: Supervisor, number: int) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {one: signal.signal(one, signal.SIG_IGN) for one in numbers}
    try:
        supervisor.install_handlers()
        os.kill(os.getpid(), number)
        with pytest.raises(StopRequested, match=signal.Signals(number).name):
            supervisor.run()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def test_error_lines_of_a_log_reach_the_console_once(supervisor: Supervisor, tmp_path: Path) -> None:
    text = "echo '[INFO] fine'; echo '[ERROR] broken'; echo ready; sleep 300"
    supervisor.add(script(tmp_path, "web", text), stop_seconds=2)
    supervisor.wait_for(lambda: "broken" in spoken(supervisor), 5, "no error line")
    supervisor.tick()

    assert spoken(supervisor) == "[web] [ERROR] broken\n"


@pytest.mark.parametrize(
    ("line", "is_error"),
    [
        ("2026-03-14 12:00:00 ERROR in app: no", True),
        ("Traceback (most recent call last):", True),
        ("sqlalchemy.exc.OperationalError: (sqlite3) locked", True),
        ("[CRITICAL] WORKER TIMEOUT", True),
        ("[INFO] 0 errors", False),
        ("  File 'errors.py', line 3", False),
    ],
)
def test_error_lines(line: str, is_error: bool) -> None:
    assert errors_of([line]) == ([line] if is_error else [])
