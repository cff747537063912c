"""Find the programs that the tests drive, installing Debian's packages where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from scripts.instance import InstanceError, redis_executable
from tests.servers import chromium_executable, postgres_folder


@dataclass(frozen=True)
class Need:
    """A program, how to tell that it is there, and the Debian package that brings it."""

    name: str
    is_met: Callable[[], bool]
    package: str


def has_redis() -> bool:
    """Tell whether a Redis server can be started, bundled or installed."""
    try:
        return bool(redis_executable())
    except InstanceError:
        return False


def has_chinese_font() -> bool:
    """Tell whether a page in Chinese can be drawn."""
    lister = shutil.which("fc-list")
    return bool(
        lister and subprocess.run([lister, ":lang=zh"], capture_output=True, check=False).stdout.strip()
    )


NEEDS = (
    Need("PostgreSQL", lambda: postgres_folder() is not None, "postgresql"),
    Need("Redis", has_redis, "redis-server"),
    Need("Chromium", lambda: chromium_executable() is not None, "chromium"),
    Need("strace", lambda: shutil.which("strace") is not None, "strace"),
    Need("a Chinese font", has_chinese_font, "fonts-noto-cjk"),
)


def install(packages: list[str]) -> None:
    """Install Debian packages as root or through a sudo that asks for no password; else do nothing."""
    if shutil.which("apt-get") is None:
        return
    prefix: list[str] = []
    if os.geteuid() != 0:
        ask = ["sudo", "-n", "true"]
        if not shutil.which("sudo") or subprocess.run(ask, capture_output=True, check=False).returncode != 0:
            return
        prefix = ["sudo", "-n"]
    print(f"Installing for the tests: {' '.join(packages)} …", flush=True)
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    apt += ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"]
    # The list of packages may be missing or old on a fresh machine.
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run([*apt, *command], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


def main() -> int:
    """Meet every need or name the command that would; nothing is left out in silence."""
    missing = [need for need in NEEDS if not need.is_met()]
    if not missing:
        return 0
    packages = [need.package for need in missing]
    install(packages)
    missing = [need for need in NEEDS if not need.is_met()]
    if missing:
        names = ", ".join(need.name for need in missing)
        print(f"The tests need {names}. Install: sudo apt-get install {' '.join(packages)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
