"""Run pytest against servers of its own; further arguments go to pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType

from tests.servers import chromium_executable, postgres_server, redis_server, server_folder

# The last resort against a test that hangs, with a wide margin.
LIMIT_SECONDS = 80 * 60
# A developer's own settings must not lead a test to a real database.
REMOVED = (
    "DATABASE_URL",
    "REDIS_URL",
    "INSTANCE_DIR",
    "SECRET_KEY",
    "HASH_KEY",
    "ENCRYPTION_KEYS",
    "SANDBOX_URL",
)


def test_environment(postgres_url: str, redis_url: str) -> dict[str, str]:
    """Return the environment of the tests: this run's servers and nothing of the developer's."""
    env = {name: value for name, value in os.environ.items() if name not in REMOVED}
    env |= {"QUEFANG_MODE": "testing", "TEST_POSTGRES_URL": postgres_url, "TEST_REDIS_URL": redis_url}
    if chromium := chromium_executable():
        env["CHROMIUM"] = chromium
    return env


def processes() -> str:
    """Return how many test processes run at once: one per core, at most four."""
    return str(min(os.cpu_count() or 1, 4))


def end(number: int, frame: FrameType | None) -> None:
    """Leave through the with blocks, so that servers and folders are removed."""
    sys.exit(128 + number)


def main(arguments: list[str]) -> int:
    """Return pytest's exit status; a skipped test counts as failed."""
    signal.signal(signal.SIGTERM, end)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "scripts.no_skips", *arguments]
    if "-n" not in arguments:
        command += ["-n", processes(), "--dist", "loadgroup"]
    with server_folder("tests") as folder, postgres_server() as postgres, redis_server() as redis:
        command.append(f"--basetemp={folder / 'files'}")
        env = test_environment(postgres.url, redis.url)
        return subprocess.run(command, env=env, timeout=LIMIT_SECONDS, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
