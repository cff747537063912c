"""In the full run a skipped test fails, and an expected failure stays one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture.sources import ROOT

CASES = """
import pytest
@pytest.mark.skip(reason="no server")
def test_skipped(): ...
@pytest.mark.xfail(reason="known")
def test_expected(): assert False
def test_good(): ...
"""


def run(folder: Path, text: str, *options: str) -> str:
    """Return the last line of pytest on one file."""
    (folder / "test_cases.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        [*command, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        check=False,
    )
    return done.stdout.strip().splitlines()[-1].partition(" in ")[0]


def test_skips_fail_only_with_the_plugin(tmp_path: Path) -> None:
    assert run(tmp_path, CASES) == "1 passed, 1 skipped, 1 xfailed"
    assert run(tmp_path, CASES, "-p", "scripts.no_skips") == "1 passed, 1 xfailed, 1 error"


def test_file_that_skips_itself_fails(tmp_path: Path) -> None:
    text = "import pytest\npytest.importorskip('no_such_module')\n"

    assert run(tmp_path, text) == "1 skipped"
    assert run(tmp_path, text, "-p", "scripts.no_skips") == "1 error"
