"""Write the lock files from requirements*.in: exact versions, hashes of every build, no addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("requirements", "requirements-dev")
# The oldest supported Python decides, because what runs there also runs on newer ones.
OLDEST = (3, 11)
OPTIONS = ("--quiet", "--no-config", "--strip-extras", "--generate-hashes", "--allow-unsafe", "--no-header")
NO_ADDRESSES = ("--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host")


def plain_environment() -> dict[str, str]:
    """Return the environment without this machine's own package sources, caps and their like."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    kept = {
        name: os.environ[name] for name in ("PIP_CERT", "PIP_PROXY", "PIP_INDEX_URL") if name in os.environ
    }
    return env | kept | {"PIP_CONFIG_FILE": os.devnull}


def lock(name: str, upgrade: bool) -> None:
    """Write one lock file; versions stay as they are unless `upgrade` is asked for."""
    command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, *NO_ADDRESSES]
    command += ["--upgrade"] if upgrade else []
    command += ["--output-file", f"{name}.txt", f"{name}.in"]
    subprocess.run(command, cwd=ROOT, env=plain_environment(), check=True)


def main(arguments: list[str]) -> int:
    """Lock runtime first, because the tools of the tests are constrained by it."""
    if sys.version_info[:2] != OLDEST:
        print(f"Lock with Python {OLDEST[0]}.{OLDEST[1]}: make PYTHON=python3.11 lock", file=sys.stderr)
        return 1
    for name in NAMES:
        lock(name, "--upgrade" in arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
