"""Framework objects made once and bound to an application by the factory."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import Enum
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import redis
from cryptography.fernet import Fernet, MultiFernet
from flask import Flask, Response, request
from flask_appbuilder import Model
from flask_appbuilder.models.sqla.base import SQLA
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate
from flask_wtf import CSRFProtect
from sqlalchemy import Connection, Engine, MetaData, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from app.domain.actor import NO_STORES, StoreScope

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# A connection that was used so lately is not asked whether its server lives.
TRUSTED_SECONDS = 1.0
metadata: MetaData = Model.metadata
metadata.naming_convention = NAMING_CONVENTION

# FAB's own metadata, otherwise a generated migration would drop every FAB table.
db = SQLA(metadata=metadata, session_options={"expire_on_commit": False})
migrate = Migrate(compare_type=True, render_as_batch=True)
csrf = CSRFProtect()
limiter = Limiter(key_func=get_remote_address, in_memory_fallback_enabled=True)


# Every address of the JSON interface begins with it.
INTERFACE = "/api/v1"


def is_interface(path: str) -> bool:
    """Tell whether a path belongs to the JSON interface, known there or not."""
    return path == INTERFACE or path.startswith(INTERFACE + "/")


class Application(Flask):
    """Flask with a short way for the JSON interface.

    What the back office and its framework hang on every request is about cookies, forms and pages, of which
    the interface has none, and costs more than most of its answers. So its requests pass `before_interface`,
    the hooks of their blueprint, and what every answer gets: `interface_headers` for the request's
    environment, and `count_answer` by its status.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before_interface: list[Callable[[], Response | None]] = []
        self.interface_headers: Callable[[WSGIEnvironment], Mapping[str, str]] = lambda environ: {}
        self.count_answer: Callable[[int], None] = lambda status: None

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function itself: nothing of the product has to be awaited."""
        return func

    def preprocess_request(self) -> Any:
        """Run what comes before a request; the first that answers ends it."""
        if not is_interface(request.path):
            return super().preprocess_request()
        own: list[Any] = [self.before_request_funcs.get(name, ()) for name in reversed(request.blueprints)]
        for hook in chain(self.before_interface, *own):
            if (answer := hook()) is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Run what comes after a request."""
        if not is_interface(request.path):
            return super().process_response(response)
        own: list[Any] = [reversed(self.after_request_funcs.get(name, [])) for name in request.blueprints]
        for hook in chain(*own):
            response = hook(response)
        response.headers.extend(self.interface_headers(request.environ))
        self.count_answer(response.status_code)
        return response


class Keyring:
    """Encrypts personal data at rest and makes keyed hashes for looking it up.

    The first key encrypts, all keys decrypt, so keys can be rotated without losing a row.
    """

    def __init__(self) -> None:
        self._fernet: MultiFernet | None = None
        self._hash_key = b""

    def configure(self, encryption_keys: list[str], hash_key: str) -> None:
        """Derive the working keys from the configured secrets."""
        self._fernet = MultiFernet([Fernet(self._derive(key)) for key in encryption_keys])
        self._hash_key = hashlib.sha256(b"quefang-hash:" + hash_key.encode()).digest()

    @staticmethod
    def _derive(secret: str) -> bytes:
        return base64.urlsafe_b64encode(hashlib.sha256(b"quefang-column:" + secret.encode()).digest())

    def encrypt(self, text: str) -> str:
        """Return the encrypted text (ASCII)."""
        assert self._fernet is not None, "the keyring is configured by create_app"
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def decrypt(self, token: str) -> str:
        """Return the clear text; raises cryptography's InvalidToken when no key fits."""
        assert self._fernet is not None, "the keyring is configured by create_app"
        return self._fernet.decrypt(token.encode("ascii")).decode()

    def keyed_hash(self, purpose: str, text: str) -> str:
        """Return a hex HMAC-SHA256 of *text* that differs by *purpose*."""
        return hmac.new(self._hash_key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


keyring = Keyring()


class RedisHolder:
    """The Redis connection with short time-outs: Redis may be gone, and nothing that sells waits for it."""

    def __init__(self) -> None:
        self._client: redis.Redis | None = None

    def configure(self, url: str, timeout_seconds: float) -> None:
        """Remember the address; the connection is made at first use, after a fork."""
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=None,
            health_check_interval=0,
        )

    @property
    def client(self) -> redis.Redis:
        assert self._client is not None, "redis is configured by create_app"
        return self._client


redis_holder = RedisHolder()

# The stores that ORM reads may return in this context; nobody sees anything until an entry point says so.
_scope: ContextVar[StoreScope] = ContextVar("store_scope", default=NO_STORES)


class _Begin(Enum):
    """How transactions begin: the statement for SQLite, and whether PostgreSQL commits each statement.

    A writer of SQLite takes its lock at once, so that it waits instead of failing.
    """

    PLAIN = ("BEGIN", False)
    READING = ("BEGIN", True)
    WRITING = ("BEGIN IMMEDIATE", False)
    ALONE = (None, True)


_begin: ContextVar[_Begin] = ContextVar("begin", default=_Begin.PLAIN)


def current_scope() -> StoreScope:
    """Return the store scope that reads are limited to."""
    return _scope.get()


def set_scope(scope: StoreScope) -> None:
    """Limit reads of this context (request, job, command) to *scope*."""
    _scope.set(scope)


@contextmanager
def use_scope(scope: StoreScope) -> Iterator[None]:
    """Limit reads to *scope* inside the block."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


@contextmanager
def _beginning(how: _Begin) -> Iterator[None]:
    token = _begin.set(how)
    try:
        yield
    finally:
        _begin.reset(token)


def writing() -> AbstractContextManager[None]:
    """Make transactions that begin inside the block writers from their start (SQLite)."""
    return _beginning(_Begin.WRITING)


def standing_alone() -> AbstractContextManager[None]:
    """Make each statement inside the block a transaction of its own."""
    return _beginning(_Begin.ALONE)


def set_writing(is_writing: bool) -> None:
    """As `writing`, for the rest of this context (a back-office request that posts a form)."""
    _begin.set(_Begin.WRITING if is_writing else _Begin.PLAIN)


def set_reading_only(is_reading: bool) -> None:
    """Read without transactions in this context, which saves two trips to PostgreSQL; `writing` still wins.

    At READ COMMITTED a transaction adds nothing to reads. What writes has to be in a unit of work, because
    nothing else could be taken back.
    """
    _begin.set(_Begin.READING if is_reading else _Begin.PLAIN)


def is_writing() -> bool:
    """Tell whether what this context reads may be its own writing, which can still be undone."""
    return _begin.get() is _Begin.WRITING


def prepare_engine(engine: Engine, lock_seconds: float) -> None:
    """Set what each new connection of *engine* needs on its own database."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: _prepare_sqlite(connection, lock_seconds))
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", lambda connection, _: _prepare_postgresql(connection, lock_seconds))
        event.listen(engine, "checkin", lambda _, record: record.info.update(rested_from=time.monotonic()))
        event.listen(engine, "checkout", partial(_notice_dead, engine))
        event.listen(engine, "begin", _begin_postgresql)


def _notice_dead(engine: Engine, connection: Any, record: Any, _proxy: Any) -> None:
    """Ask a connection that has rested whether its server is still there: the server may have been restarted.

    One that was just used is trusted, because asking before each use would double the way to the database.
    """
    if time.monotonic() - record.info.get("rested_from", time.monotonic()) < TRUSTED_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        # The pool replaces all that are as old, and tries again.
        raise InvalidatePoolError() from error


def end_sessions_quietly(app: Flask) -> None:
    """End each context's transaction so that a database which has just died cannot spoil a finished answer.

    What matters was committed before; to be registered after the database, whose own ending would raise.
    """

    @app.teardown_appcontext
    def end(error: BaseException | None) -> None:
        if not db.session.registry.has():
            return
        try:
            db.session.rollback()
        except DBAPIError:
            db.session().invalidate()


def _prepare_sqlite(connection: sqlite3.Connection, lock_seconds: float) -> None:
    # The driver must not begin transactions by itself; the "begin" event does.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={int(lock_seconds * 1000)}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, lock_seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(f"SET lock_timeout = '{int(lock_seconds * 1000)}ms'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    statement = _begin.get().value[0]
    if statement is not None:
        connection.exec_driver_sql(statement)


def _begin_postgresql(connection: Connection) -> None:
    if "isolation_level" in connection.get_execution_options():
        # Asked for by name: the dialect has set it, and takes it back.
        return
    # The driver sends BEGIN with the first statement, or not at all.
    driver: Any = connection.connection.driver_connection
    is_alone = _begin.get().value[1]
    if driver.autocommit != is_alone:
        driver.autocommit = is_alone


def configure_redis(app: Flask) -> None:
    """Bind Redis and the rate limiter to the application's settings."""
    config = app.config
    redis_holder.configure(config["REDIS_URL"], config["REDIS_TIMEOUT_SECONDS"])
    config.setdefault("RATELIMIT_STORAGE_URI", _limiter_address(config["REDIS_URL"]))
    config.setdefault(
        "RATELIMIT_STORAGE_OPTIONS",
        {
            "socket_timeout": config["REDIS_TIMEOUT_SECONDS"],
            "socket_connect_timeout": config["REDIS_TIMEOUT_SECONDS"],
            # The client's own default would try a hung server four times.
            "retry": None,
        },
    )


def init_limiter(app: Flask) -> None:
    """Bind the limiter for its storage alone: what is limited is counted where it happens.

    Being registered already keeps it from asking itself, in vain, before and after every request.
    """
    app.extensions.setdefault("limiter", set()).add(limiter)
    limiter.init_app(app)


def _limiter_address(url: str) -> str:
    """The limits library spells a socket address differently from redis-py."""
    return "redis+" + url if url.startswith("unix://") else url
