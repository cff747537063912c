"""Functions and files stay small."""

from __future__ import annotations

from pathlib import Path

from scripts.check_sizes import ROOT, complaints, function_sizes


def test_sizes_of_the_product_are_kept() -> None:
    assert complaints(ROOT) == []


def test_long_function_and_long_file_are_found(tmp_path: Path) -> None:
    body = "\n".join("    x = 1" for _ in range(60))
    (tmp_path / "app").mkdir()
    long = tmp_path / "app" / "long.py"
    long.write_text(f"def inner() -> None:\n{body}\n" + "\n" * 500)

    assert [size.lines for size in function_sizes(long)] == [61]
    assert complaints(tmp_path) == [
        f"{long}:1 inner has 61 lines, at most 60",
        f"{long} has 561 lines, at most 500",
        "the median of functions is 61 lines, at most 8",
        "95 % of functions have up to 61 lines, at most 40",
        "95 % of files have up to 561 lines, at most 400",
    ]
