"""Throw-away PostgreSQL and Redis servers on free ports, removed when the test run ends."""

from __future__ import annotations

import atexit
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg

from scripts.instance import free_port, redis_executable
from scripts.processes import Process, tail, wait_until

START_SECONDS = 30
STOP_SECONDS = 10
# Durable against a crash of the server, which tests provoke, but not of the machine: no disk is waited for.
POSTGRES_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_min_messages": "warning",
    "timezone": "UTC",
}
# Servers that no with block ends are ended with the process.
_UNTIL_EXIT = ExitStack()
atexit.register(_UNTIL_EXIT.close)


class ServerError(RuntimeError):
    """A server for tests cannot be found or does not come up."""


def postgres_folder() -> Path | None:
    """Return the folder of initdb and postgres: the newest of Debian's versions, else the one on PATH."""
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")
    found = max(debian, key=lambda path: int(path.parts[-3]), default=None)
    on_path = shutil.which("initdb")
    return found.parent if found else Path(on_path).resolve().parent if on_path else None


def chromium_executable() -> str | None:
    """Return the browser for view tests: CHROMIUM, else one that is installed."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def other_account() -> str | None:
    """Return the account to run PostgreSQL as: it refuses root, so root lends it another; else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "quefang-tests"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    subprocess.run(["useradd", "--system", "--no-create-home", "quefang-tests"], check=True)
    return "quefang-tests"


class RedisServer:
    """A Redis of its own; `url` is the first of its 64 databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        command = [redis_executable(), "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--dir", str(folder), "--save", "", "--appendonly", "no", "--databases", "64"]
        self.process = Process("redis", command, env=os.environ, log=folder / "redis.log")

    def start(self) -> None:
        """Start and wait until it answers. Raises ServerError."""
        self.process.start()
        if not wait_until(self._answers, START_SECONDS):
            raise ServerError(f"Redis does not answer:\n{tail(self.process.log)}")

    def stop(self) -> None:
        """Stop, for good or until the next start."""
        self.process.stop(STOP_SECONDS)

    def crash(self) -> None:
        """Kill without warning; what it held is lost."""
        self.process.stop(0, with_signal=signal.SIGKILL)

    def pause(self) -> None:
        """Stop answering while connections stay open, as a hung server does."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again."""
        self.process.send(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            return False


class PostgresServer:
    """A PostgreSQL cluster of its own; `url` is its maintenance database."""

    def __init__(self, folder: Path) -> None:
        binaries = postgres_folder()
        if binaries is None:
            raise ServerError("PostgreSQL is not installed: sudo apt-get install postgresql")
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql://quefang@127.0.0.1:{self.port}/postgres"
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(self.port)]
        for name, value in POSTGRES_SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        self.process = Process("postgres", command, env=os.environ, log=folder / "postgres.log")
        self.process.cwd = folder
        self.process.account = other_account()
        # The fast shutdown: connections that are still open must not hold it up.
        self.process.death_signal = signal.SIGINT
        self._initialise(binaries / "initdb")

    def _initialise(self, initdb: Path) -> None:
        if self.process.account:
            shutil.chown(self.folder, self.process.account)
        command = [str(initdb), "-D", str(self.folder / "data"), "-U", "quefang", "--no-sync"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        account = self.process.account
        group = pwd.getpwnam(account).pw_gid if account else None
        done = subprocess.run(
            command,
            user=account,
            group=group,
            extra_groups=[] if account else None,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"initdb failed:\n{done.stderr}")

    def start(self) -> None:
        """Start and wait until it takes connections. Raises ServerError."""
        self.process.start()
        if not wait_until(self._answers, START_SECONDS):
            raise ServerError(f"PostgreSQL does not answer:\n{tail(self.process.log)}")

    def stop(self) -> None:
        """Shut down, closing connections; for good or until the next start."""
        self.process.stop(STOP_SECONDS, with_signal=signal.SIGINT)

    def crash(self) -> None:
        """End at once as after a crash; the next start recovers from the log."""
        self.process.stop(STOP_SECONDS, with_signal=signal.SIGQUIT)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def server_folder(name: str) -> Iterator[Path]:
    """Make a folder that another account may enter, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"quefang-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL for the length of a with block."""
    with server_folder("postgres") as folder:
        server = PostgresServer(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis for the length of a with block."""
    with server_folder("redis") as folder:
        server = RedisServer(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def start_postgres() -> str:
    """Return the run's PostgreSQL: TEST_POSTGRES_URL, else a new one until this process ends."""
    return os.environ.get("TEST_POSTGRES_URL") or _UNTIL_EXIT.enter_context(postgres_server()).url


def start_redis() -> str:
    """Return the run's Redis: TEST_REDIS_URL, else a new one until this process ends.

    Test processes that share one server get a database each.
    """
    url = os.environ.get("TEST_REDIS_URL") or _UNTIL_EXIT.enter_context(redis_server()).url
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"{url.rpartition('/')[0]}/{number}"


@contextmanager
def postgres_database(server_url: str, *, template: str = "template1") -> Iterator[str]:
    """Make a database of its own on a server and return its address; it is dropped afterwards."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield f"{server_url.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
