"""Check the sizes of functions and files: small pieces are a rule of the house."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("app", "sandbox", "scripts", "deploy", "config.py", "run.py")
TESTS = ("tests", "benchmarks")
FUNCTION_MEDIAN, FUNCTION_P95, FUNCTION_MOST = 8, 40, 60
FILE_P95, FILE_MOST = 400, 500


@dataclass(frozen=True)
class Size:
    """How many lines something has, and where it stands."""

    lines: int
    place: str


def python_files(root: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """Yield the Python files below the named folders, and the named files."""
    for name in names:
        path = root / name
        if path.is_dir():
            yield from sorted(path.rglob("*.py"))
        elif path.exists():
            yield path


def function_sizes(path: Path) -> list[Size]:
    """Return every function of a file with its lines, from `def` to its end, docstring included."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [Size((f.end_lineno or f.lineno) - f.lineno + 1, f"{path}:{f.lineno} {f.name}") for f in functions]


def file_size(path: Path) -> Size:
    """Return the lines of a file."""
    return Size(len(path.read_text(encoding="utf-8").splitlines()), str(path))


def percentile(sizes: list[Size], share: float) -> int:
    """Return the size that `share` (0 to 1) of all do not exceed; 0 for none."""
    ordered = sorted(size.lines for size in sizes)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0


def too_long(sizes: list[Size], most: int) -> list[str]:
    """Name everything above the limit, longest first."""
    found = sorted((size for size in sizes if size.lines > most), key=lambda size: -size.lines)
    return [f"{size.place} has {size.lines} lines, at most {most}" for size in found]


def complaints(root: Path) -> list[str]:
    """Return what breaks the sizes; tests are held to the upper limits only."""
    product, tests = list(python_files(root, PRODUCT)), list(python_files(root, TESTS))
    files = [file_size(path) for path in product]
    functions = [size for path in product for size in function_sizes(path)]
    of_tests = [size for path in tests for size in function_sizes(path)]
    found = too_long(functions + of_tests, FUNCTION_MOST)
    found += too_long(files + [file_size(path) for path in tests], FILE_MOST)
    if functions and (median := statistics.median(size.lines for size in functions)) > FUNCTION_MEDIAN:
        found.append(f"the median of functions is {median:g} lines, at most {FUNCTION_MEDIAN}")
    if (high := percentile(functions, 0.95)) > FUNCTION_P95:
        found.append(f"95 % of functions have up to {high} lines, at most {FUNCTION_P95}")
    if (high := percentile(files, 0.95)) > FILE_P95:
        found.append(f"95 % of files have up to {high} lines, at most {FILE_P95}")
    return found


def main() -> int:
    """Print what is too long; the exit status tells whether anything is."""
    found = complaints(ROOT)
    print("\n".join(found) if found else "Sizes kept.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
