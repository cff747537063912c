"""Command line of the benchmarks: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from benchmarks import cases, plans, profiles, rivals, sqlite
from benchmarks.cases import Result
from benchmarks.report import load, machine, show_goals, show_table
from benchmarks.rounds import Options
from benchmarks.sites import ENGINES, World, progress

Case = Callable[[World, str, list[int], Options], Result]
UNITS = {"k": 1_000, "M": 1_000_000}


def parse_size(text: str) -> int:
    """Return the number that `10k` or `1M` means."""
    unit = UNITS.get(text[-1:], 1)
    return int(text[:-1] if unit > 1 else text) * unit


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", default=["all"], metavar="case", help=f"{', '.join(CASES)}, all")
    parser.add_argument("--sizes", default="10k,100k,1M", help="numbers of bookings, such as 10k,1M")
    parser.add_argument("--engine", choices=ENGINES, default="postgresql")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round of one contender")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--only", default="", help="words; only contenders whose name has one of them")
    parser.add_argument("--out", type=Path, help="file for the report; else it is printed")
    wanted = parser.parse_args(arguments)
    if unknown := set(wanted.cases) - {*CASES, "all"}:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    return wanted


def run(wanted: argparse.Namespace) -> Result:
    """Run the wanted cases on servers of their own."""
    options = Options(
        seconds=wanted.seconds,
        rounds=wanted.rounds,
        clients=tuple(int(text) for text in wanted.clients.split(",")),
        only=tuple(word for word in wanted.only.split(",") if word),
    )
    sizes = [parse_size(text) for text in wanted.sizes.split(",")]
    result = Result()
    with ExitStack() as stack:
        world = World(stack)
        for name, case in CASES.items():
            if name in wanted.cases or ("all" in wanted.cases and name in IN_ALL):
                progress(f"case {name}")
                result.add(case(world, wanted.engine, sizes, options))
    return result


def each_size(case: Callable[[World, str, int, Options], Result]) -> Case:
    """Return the case that does one size after the other."""

    def run_sizes(world: World, engine: str, sizes: list[int], options: Options) -> Result:
        result = Result()
        for size in sizes:
            result.add(case(world, engine, size, options))
        return result

    return run_sizes


CASES: dict[str, Case] = {
    "availability": each_size(cases.availability),
    "create": each_size(cases.create),
    "growth": cases.growth,
    "rivals": rivals.rivals,
    "sqlite": sqlite.sqlite,
    "plans": plans.plans,
    "profile": each_size(profiles.profile),
}
# A profile shows where time goes; what it measures is slowed down by measuring.
IN_ALL = tuple(name for name in CASES if name != "profile")


def write_report(result: Result, before: str) -> str:
    """Return the report as Markdown."""
    parts = [f"{machine()}; load of the machine before {before}, after {load()}.\n"]
    if result.goals:
        parts.append(show_goals(result.goals))
    parts += [show_table(table) for table in result.tables]
    parts += result.notes
    return "\n".join(parts)


def leave(number: int, frame: FrameType | None) -> None:
    """Leave through the with blocks, so that every server is stopped."""
    sys.exit(128 + number)


def main() -> int:
    """Measure and report; Ctrl-C stops everything that was started."""
    # A shell hands SIGINT over ignored to what runs in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    wanted, before = parse(), load()
    report = write_report(run(wanted), before)
    if wanted.out:
        wanted.out.write_text(report, encoding="utf-8")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
