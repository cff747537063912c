"""The import contracts find what they forbid; that the product keeps them is checked before the tests run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

LINTER = str(Path(sys.executable).with_name("lint-imports"))
VIOLATIONS = {
    "app/domain/wrong.py": "import sqlalchemy",
    "app/services/wrong.py": "import flask",
    "app/api/wrong.py": "import app.models.base",
    "app/jobs/wrong.py": "import app.views",
    "sandbox/wrong.py": "import app.domain",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code that may be spoilt."""
    for name in ("app", "sandbox"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("static", "templates"))
    for name in ("pyproject.toml", "config.py"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def broken_contracts(folder: Path) -> list[str]:
    """Return the names of the contracts that the linter reports as broken."""
    done = subprocess.run([LINTER, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    return re.findall(r"^(.*) BROKEN$", done.stdout, re.MULTILINE)


def test_every_contract_is_broken_by_what_it_forbids(copy: Path) -> None:
    assert broken_contracts(copy) == []

    for name, text in VIOLATIONS.items():
        (copy / name).write_text(text + "\n")

    assert len(broken_contracts(copy)) == 5
