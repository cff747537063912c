"""The programs under test: servers, databases of a size, and web servers on them, all ended with the run."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from scripts.instance import free_port
from scripts.processes import Process, tail, wait_until
from tests.servers import PostgresServer, postgres_database, postgres_server, redis_server, server_folder

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("postgresql", "sqlite")
WORKERS = 2
START_SECONDS = 60
PRODUCT = "app:create_app()"
# What the operator of a production machine sets; limits are raised because all the load has one address.
SETTINGS = {
    "QUEFANG_MODE": "production",
    "PUBLIC_BASE_URL": "https://127.0.0.1",
    "WECHAT_API_URL": "https://127.0.0.1:9",
    "WECHAT_PAY_URL": "https://127.0.0.1:9",
    "TRUSTED_HOSTS": "127.0.0.1",
    "TRUSTED_PROXIES": "1",
    "API_RATE_LIMIT": "1000000 per second",
    "LOG_LEVEL": "warning",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def progress(text: str) -> None:
    """Tell somebody who waits what is going on, away from the report."""
    print(text, file=sys.stderr, flush=True)


class SiteError(RuntimeError):
    """A program under test does not start or a preparation fails."""


@dataclass(frozen=True)
class Facts:
    """What the seeding tells: ids, times (RFC 3339) and customers' tokens.

    `first_free_at` is where new bookings of `sale_room_ids` start; `switch_ids` are bookings in the window
    that are switched on and off between reads, one in each room.
    """

    store_id: int
    room_ids: list[int]
    sale_room_ids: list[int]
    window: tuple[str, str]
    first_free_at: str
    switch_ids: list[int]
    customer_id: int
    tokens: list[str]


@dataclass(frozen=True)
class Site:
    """The product's database of one size, and the environment of every program on it."""

    engine: str
    size: int
    folder: Path
    # As psycopg takes it; for SQLite the path of the file.
    database: str
    env: dict[str, str]
    facts: Facts
    # Numbers of places that are still free; every case on this database takes its own.
    places: Iterator[int] = field(default_factory=count)


class World:
    """The servers of a run and what has been started on them; everything ends with the stack."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.folder = stack.enter_context(server_folder("bench"))
        self._redis = stack.enter_context(redis_server())
        self._postgres: PostgresServer | None = None
        self._sites: dict[tuple[str, int, str], Site] = {}

    @property
    def postgres(self) -> PostgresServer:
        """The PostgreSQL of this run, started when it is first asked for."""
        if self._postgres is None:
            self._postgres = self.stack.enter_context(postgres_server())
        return self._postgres

    def site(self, engine: str, size: int, purpose: str = "shared") -> Site:
        """Return the seeded database of a size with fresh logins; it is made when first asked for.

        Who spoils it says for what *purpose* and gets one alone.
        """
        key = (engine, size, purpose)
        if key not in self._sites:
            self._sites[key] = self._make_site(engine, size, purpose)
        else:
            tokens = _prepare(self._sites[key].env, "login")["tokens"]
            self._sites[key].facts.tokens[:] = tokens
        return self._sites[key]

    def _make_site(self, engine: str, size: int, purpose: str) -> Site:
        progress(f"preparing {size:,} bookings, {engine}")
        folder = self.folder / f"{engine}-{size}-{purpose}"
        folder.mkdir()
        if engine == "sqlite":
            database = str(folder / "quefang.db")
            url = f"sqlite:///{database}"
        else:
            database = url = self.stack.enter_context(postgres_database(self.postgres.url))
        env = self._environment(url, folder)
        found = _prepare(env, "seed", str(size))
        return Site(engine, size, folder, database, env, Facts(**found))

    def _environment(self, url: str, folder: Path) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        keys = {name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "HASH_KEY", "ENCRYPTION_KEYS")}
        places = {"DATABASE_URL": url, "REDIS_URL": self._redis.url, "INSTANCE_DIR": str(folder)}
        return kept | SETTINGS | keys | places | {"WEB_CONCURRENCY": str(WORKERS)}


def _prepare(env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run the seeding in a process of its own and return what it tells."""
    return dict(json.loads(run_module(env, "benchmarks.seed", *arguments).splitlines()[-1]))


def run_module(env: Mapping[str, str], *arguments: str) -> str:
    """Run a module of ours and return what it writes; raises SiteError with its complaints."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, env=dict(env), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SiteError(f"{' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


@contextmanager
def serve(
    env: Mapping[str, str],
    folder: Path,
    app: str = PRODUCT,
    *,
    path: str = "/healthz",
    options: Sequence[str] = (),
) -> Iterator[int]:
    """Run *app* under the web server's settings of production and yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", *options, app]
    values = dict(env) | {"BIND": f"127.0.0.1:{port}"}
    process = Process("web", command, env=values, log=folder / f"web-{port}.log")
    process.cwd = ROOT
    process.start()
    try:
        wait_until(lambda: _answers(port, path) or not process.is_running(), START_SECONDS)
        if not _answers(port, path):
            raise SiteError(f"{app} does not answer:\n{tail(process.log)}")
        yield port
    finally:
        # Nothing is left to be finished, and leaving politely takes seconds.
        process.stop(0, with_signal=signal.SIGKILL)


def _answers(port: int, path: str) -> bool:
    return fetch(port, "GET", path)[0] == 200


def fetch(
    port: int, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Ask once, outside of every measurement; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Host": "127.0.0.1", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, OSError):
        return 0, b""
    finally:
        connection.close()
