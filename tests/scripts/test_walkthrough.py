"""The walkthrough: it passes on a fresh product, needs nothing but Python, and tells what is off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.instance import free_port
from tests.architecture.sources import ROOT
from tests.scripts.test_run import environment, running

assert environment  # The fixture of the product's tests.

# Guests who stay too long have to be waited for by the clock on the wall.
SECONDS = 420


def walk(base: str, sandbox: str) -> subprocess.CompletedProcess[str]:
    """Run the walkthrough on a Python that finds no installed package."""
    script = str(ROOT / "scripts" / "walkthrough.py")
    command = [sys.executable, "-I", "-S", script, "--base", base, "--sandbox", sandbox]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.e2e
@pytest.mark.xdist_group("product")
def test_walkthrough_finds_a_fresh_product_as_documented(
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    product, sandbox = (f"http://127.0.0.1:{environment[name]}" for name in ("PORT", "SANDBOX_PORT"))
    with running(environment, tmp_path / "run.log"):
        done = walk(product, sandbox)
        misled = walk(product, product)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 surprise(s)" in done.stdout
    # Without a sandbox nobody can log in, and the walkthrough has to say so.
    assert misled.returncode == 1
    assert "SURPRISE: expected status 201" in misled.stdout


def test_walkthrough_fails_where_nothing_runs() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"

    done = walk(nowhere, nowhere)

    assert done.returncode == 1
    assert "was not answered" in done.stdout
