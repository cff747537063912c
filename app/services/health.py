"""Whether the product can do its work just now: database, migrations, Redis and a live worker."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from alembic.script import ScriptDirectory
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import redis_holder
from app.services.unit_of_work import session

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
# A live worker writes the instant under this key every few seconds.
WORKER_HEARTBEAT_KEY = "quefang:worker:heartbeat"
HEARTBEAT_SECONDS = 5
LONGEST_SILENCE_SECONDS = 30


def check_readiness(*, now: datetime) -> dict[str, str]:
    """Return `{status, database, migrations, redis, worker}`; `ready` when every part is `ok`.

    Otherwise it is `unready` and the parts say why: database `unreachable`, migrations `behind`, redis
    `unreachable`, worker `missing`.
    """
    parts = {**_check_database(), **_check_redis(now)}
    is_ready = all(state == "ok" for state in parts.values())
    return {"status": "ready" if is_ready else "unready", **parts}


def _check_database() -> dict[str, str]:
    try:
        session().execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("the database does not answer: %s", type(error).__name__)
        return {"database": "unreachable", "migrations": "unknown"}
    finally:
        session().rollback()
    return {"database": "ok", "migrations": "ok" if _is_migrated() else "behind"}


def _is_migrated() -> bool:
    try:
        found = session().execute(text("SELECT version_num FROM alembic_version")).scalars()
        return set(found) == expected_versions()
    except SQLAlchemyError:
        return False
    finally:
        session().rollback()


@lru_cache(maxsize=1)
def expected_versions() -> frozenset[str]:
    """Return the newest migrations that this code brings along."""
    return frozenset(ScriptDirectory(str(MIGRATIONS)).get_heads())


def _check_redis(now: datetime) -> dict[str, str]:
    try:
        beat = redis_holder.client.get(WORKER_HEARTBEAT_KEY)
    except (RedisError, OSError) as error:
        log.warning("Redis does not answer: %s", type(error).__name__)
        return {"redis": "unreachable", "worker": "unknown"}
    return {"redis": "ok", "worker": "ok" if _is_fresh(beat, now) else "missing"}


def _is_fresh(beat: object, now: datetime) -> bool:
    if not isinstance(beat, bytes):
        return False
    age = now - datetime.fromisoformat(beat.decode("ascii"))
    return age.total_seconds() <= LONGEST_SILENCE_SECONDS
