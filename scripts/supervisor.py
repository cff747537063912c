"""A small supervisor: starts programs, restarts crashed ones with a pause, stops all in order."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

from scripts.processes import TICK_SECONDS, Process, rotate, tail

ERROR_LINE = re.compile(r"\b(ERROR|CRITICAL)\b|^Traceback |^\w+(\.\w+)*(Error|Exception)\b")
START_TRIES = 3
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 30.0


class StopRequested(Exception):
    """SIGINT or SIGTERM arrived."""


class StartFailed(Exception):
    """A program does not come up; the message is for the operator."""


@dataclass
class Program:
    """A supervised process: how long it may take to stop, and the state of its restarts."""

    process: Process
    stop_seconds: float
    pause_seconds: float = 0.5
    starts: int = 0
    started_at: float = 0.0
    restart_at: float | None = None
    read_bytes: int = 0


@dataclass
class Supervisor:
    """Keeps programs alive; `stop` goes through `stop_order`, programs not named there come last."""

    stop_order: tuple[str, ...] = ()
    console: IO[str] = field(default_factory=lambda: sys.stderr)
    programs: dict[str, Program] = field(default_factory=dict)
    is_settled: bool = False
    stop_signal: int | None = None

    def install_handlers(self) -> None:
        """Take SIGINT and SIGTERM over, also where the shell handed SIGINT over ignored."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)
        # Under nohup the closing of the terminal stays ignored.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.stop_signal = number

    def say(self, text: str) -> None:
        """Print a line to the operator at once."""
        print(text, file=self.console, flush=True)

    def add(self, process: Process, *, stop_seconds: float) -> None:
        """Start a program and look after it from now on."""
        rotate(process.log)
        program = self.programs[process.name] = Program(process, stop_seconds)
        self._start(program)

    def run_once(self, process: Process, *, seconds: float) -> None:
        """Run a command to its end. Raises StartFailed with the end of its log when it fails."""
        rotate(process.log)
        process.start()
        try:
            self.wait_for(lambda: not process.is_running(), seconds, f"{process.name} has not finished")
            if process.exit_status() != 0:
                raise StartFailed(f"{process.name} failed:\n{tail(process.log)}")
        finally:
            process.stop(2)

    def wait_for(self, condition: Callable[[], bool], seconds: float, complaint: str) -> None:
        """Look after the programs until the condition holds.

        Raises StopRequested on a signal and StartFailed with `complaint` after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise StartFailed(f"{complaint} after {seconds:.0f} s.\n{self._tails()}")
            self.tick()

    def run(self) -> None:
        """Look after the programs until a signal arrives, then raise StopRequested."""
        self.is_settled = True
        while True:
            self.tick()

    def tick(self) -> None:
        """Notice signals, crashes and error lines once, then rest a moment."""
        if self.stop_signal is not None:
            raise StopRequested(signal.Signals(self.stop_signal).name)
        for program in self.programs.values():
            self._show_errors(program)
            self._look_after(program)
        time.sleep(TICK_SECONDS)

    def stop(self) -> None:
        """Stop every program in order, each within its own time; never raises."""
        order = [name for name in self.stop_order if name in self.programs]
        order += [name for name in reversed(self.programs) if name not in order]
        for name in order:
            program = self.programs.pop(name)
            if not program.process.stop(program.stop_seconds):
                self.say(f"[{name}] did not stop within {program.stop_seconds:.0f} s and was killed")

    def _start(self, program: Program) -> None:
        program.starts += 1
        program.restart_at = None
        program.started_at = time.monotonic()
        program.process.start()

    def _look_after(self, program: Program) -> None:
        now = time.monotonic()
        if program.restart_at is not None:
            if now >= program.restart_at:
                self._start(program)
        elif not program.process.is_running():
            self._plan_restart(program, now)

    def _plan_restart(self, program: Program, now: float) -> None:
        """Crashed: give up while starting, else start again after a pause that doubles."""
        name, status = program.process.name, program.process.exit_status()
        # What a crashed program leaves running would hold its port or its queue.
        program.process.stop(0)
        if not self.is_settled and program.starts >= START_TRIES:
            raise StartFailed(f"{name} keeps ending (status {status}):\n{tail(program.process.log)}")
        if now - program.started_at > STEADY_SECONDS:
            program.pause_seconds = 0.5
        self.say(f"[{name}] ended with status {status}; next start in {program.pause_seconds:g} s")
        program.restart_at = now + program.pause_seconds
        program.pause_seconds = min(program.pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _show_errors(self, program: Program) -> None:
        """Copy new error lines of a log to the console, with the name of the program in front."""
        log = program.process.log
        if not log.exists() or log.stat().st_size <= program.read_bytes:
            return
        with log.open("rb") as stream:
            stream.seek(program.read_bytes)
            fresh = stream.read()
        # A line that is still being written is left for the next look.
        whole = fresh[: fresh.rfind(b"\n") + 1]
        program.read_bytes += len(whole)
        for line in errors_of(whole.decode(errors="replace").splitlines()):
            self.say(f"[{program.process.name}] {line}")

    def _tails(self) -> str:
        logs = [(name, tail(program.process.log)) for name, program in self.programs.items()]
        return "\n".join(f"--- {name}\n{text}" for name, text in logs if text)


def errors_of(lines: Iterable[str]) -> list[str]:
    """Return the lines that report an error, as a logger or a traceback writes them."""
    return [line for line in lines if ERROR_LINE.search(line)]
