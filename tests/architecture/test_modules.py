"""Every module says in one sentence what it is for, and only the clock reads the time of day."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture.sources import project_files, shown

WALL_CLOCK = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
}


def modules(*folders: str) -> list[tuple[Path, ast.Module]]:
    """Return the Python modules of some folders, parsed."""
    paths = [path for path in project_files(*folders) if path.suffix == ".py"]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def wall_clock_reads(tree: ast.AST) -> list[int]:
    """Return the lines that ask the machine for the time of day."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in WALL_CLOCK
    ]


def test_every_module_begins_with_a_sentence() -> None:
    found = modules("app", "sandbox", "scripts", "benchmarks", "deploy", "tests")
    silent = [
        shown(path)
        for path, tree in found
        if not (ast.get_docstring(tree) or "").split("\n")[0].endswith(".")
    ]

    assert len(found) > 50
    assert silent == []


def test_only_the_clock_reads_the_time_of_day() -> None:
    readers = [shown(path) for path, tree in modules("app") if wall_clock_reads(tree)]

    assert readers == ["app/domain/clock.py"]


def test_reading_the_clock_is_noticed() -> None:
    assert wall_clock_reads(ast.parse("x = 1\nnow = datetime.now(UTC)\ntime.monotonic()")) == [2]
