"""The same request again gets the same answer: keys, claims and the answers kept under them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from app.domain.errors import DomainError, IdempotencyConflict, RateLimited, Unauthenticated, Unavailable
from app.extensions import keyring
from app.models import IdempotencyKey
from app.services.inserts import insert_into
from app.services.unit_of_work import (
    alone,
    change_rows,
    dialect_name,
    refusal_of,
    savepoint_scope,
    session,
    transactional,
)

log = logging.getLogger(__name__)

KEPT_FOR = timedelta(hours=24)
# Longer than a web worker may take over one request, so that nobody overtakes a holder who still lives.
LEASE = timedelta(seconds=45)
# A twin waits this long for the first request before it is told to come back.
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.05
_KEYS = IdempotencyKey.__table__
SCOPE = ("owner", "method", "path", "key")
# Refusals that say nothing of the request itself: the next try may well be answered otherwise.
NOT_KEPT = (Unauthenticated, RateLimited, Unavailable)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request under a key of its sender; `owner` is whose key it is, `body_hash` a hex SHA-256."""

    owner: str
    method: str
    path: str
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status and body, byte for byte."""

    status: int
    body: bytes


Work = Callable[[], Answer]
Refuse = Callable[[DomainError], Answer]


@transactional
def answer_in_transaction(request: KeyedRequest, work: Work, refuse: Refuse, *, now: datetime) -> Answer:
    """Return the kept answer, or run *work* and keep its answer in the very transaction of its effect.

    For work that calls nobody outside. The key's row is written first: a twin waits on its unique
    constraint (SQLite: for the writer's lock) until this transaction is over. A refusal undoes what the work
    did and is kept, turned into an answer by *refuse*. Raises IdempotencyConflict for another body, and
    whatever *work* raises that is not kept.
    """
    if not _claim(request, now=now, claimed_until_at=None):
        return read_kept(request, _row(request))
    answer = _run(work, refuse)
    _store(request, answer)
    return answer


def answer_under_claim(request: KeyedRequest, work: Work, refuse: Refuse, *, now: datetime) -> Answer:
    """As `answer_in_transaction`, for work that calls somebody outside and has transactions of its own.

    The claim is committed first and lapses after 45 s: when its holder died, a twin takes it over. The work
    has to bear being run again after that. Raises Unavailable when the first request takes too long.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    started = time.monotonic()
    while True:
        moment = now + timedelta(seconds=time.monotonic() - started)
        kept = _claim_or_read(request, now=moment)
        if isinstance(kept, Answer):
            return kept
        if kept:
            return _run_claimed(request, work, refuse)
        if time.monotonic() >= deadline:
            raise Unavailable()
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Keep:
    """For a service that keeps its answer itself, in the statement of its effect.

    `request` is None without a key; `answer` makes the answer of what the operation returns.
    """

    request: KeyedRequest | None
    answer: Callable[[Any], Answer]


def kept_answer(request: KeyedRequest, row: Any, *, now: datetime) -> Answer | None:
    """Return what *row* keeps for a request, None where that is nothing (`kept_at` is None) or too old.

    What is too old is deleted, so that the key can be used again. Raises what `read_kept` raises.
    """
    if row.kept_at is None:
        return None
    if row.kept_at > now - KEPT_FOR:
        return read_kept(request, row)
    change_rows(delete(IdempotencyKey).where(*_is(request)))
    return None


def kept_row(request: KeyedRequest, answer: Answer, *, now: datetime) -> dict[str, Any]:
    """Return the row that keeps an answer under its key."""
    scope = {"owner": request.owner, "method": request.method, "path": request.path, "key": request.key}
    return scope | {
        "body_hash": request.body_hash,
        "created_at": now,
        "response_status": answer.status,
        "response_body": _sealed(answer),
    }


def keep_refusal(request: KeyedRequest, answer: Answer, *, now: datetime) -> Answer:
    """Keep the answer of a refusal whose work has been rolled back; who kept one meanwhile was first.

    Twins that are refused side by side get the same answer by that. Raises IdempotencyConflict.
    """
    row = kept_row(request, answer, now=now)
    with alone():
        if _write_unless_kept(row, now=now):
            return answer
        return read_kept(request, _row(request))


@transactional
def forget_old_keys(*, now: datetime) -> int:
    """Delete the answers that need not be kept any longer and return how many."""
    return change_rows(delete(IdempotencyKey).where(IdempotencyKey.created_at <= now - KEPT_FOR))


def _run(work: Work, refuse: Refuse) -> Answer:
    try:
        with savepoint_scope():
            answer = work()
            # What the database refuses shall show here, inside the savepoint.
            session().flush()
            return answer
    except IntegrityError as error:
        refusal = refusal_of(error)
        if not isinstance(refusal, DomainError):
            raise
    except DomainError as error:
        refusal = error
    if isinstance(refusal, NOT_KEPT):
        raise refusal
    return refuse(refusal)


def _run_claimed(request: KeyedRequest, work: Work, refuse: Refuse) -> Answer:
    try:
        answer = work()
    except NOT_KEPT:
        _release(request)
        raise
    except DomainError as refusal:
        answer = refuse(refusal)
    except BaseException:
        _release(request)
        raise
    _store_claimed(request, answer)
    return answer


@transactional
def _claim_or_read(request: KeyedRequest, *, now: datetime) -> Answer | bool:
    """Return the kept answer, True when the claim is ours, False while somebody else holds it."""
    if _claim(request, now=now, claimed_until_at=now + LEASE):
        return True
    row = _row(request)
    if row is None:
        return False
    if row.response_status is not None or row.body_hash != request.body_hash:
        return read_kept(request, row)
    return _take_over(row, now=now)


def _take_over(row: Any, *, now: datetime) -> bool:
    """Take over the claim of somebody who died; only one of several twins succeeds."""
    if row.claimed_until_at is None or row.claimed_until_at > now:
        return False
    taken = change_rows(
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row.id, IdempotencyKey.claimed_until_at == row.claimed_until_at)
        .values(claimed_until_at=now + LEASE)
    )
    return taken == 1


def _claim(request: KeyedRequest, *, now: datetime, claimed_until_at: datetime | None) -> bool:
    """Write the key's row, replacing one that is too old to count; False when somebody else has it."""
    values = {
        "owner": request.owner,
        "method": request.method,
        "path": request.path,
        "key": request.key,
        "body_hash": request.body_hash,
        "created_at": now,
        "claimed_until_at": claimed_until_at,
        "response_status": None,
        "response_body": None,
    }
    return _write_unless_kept(values, now=now)


def _write_unless_kept(row: dict[str, Any], *, now: datetime) -> bool:
    statement = _write(dialect_name(), tuple(row))
    return session().connection().execute(statement, row | {"too_old": now - KEPT_FOR}).rowcount == 1


@cache
def _write(dialect: str, columns: tuple[str, ...]) -> Any:
    """Made once for each engine: building it costs more than the database takes."""
    insert = insert_into(_KEYS, dialect).values({name: bindparam(name) for name in columns})
    renewed = {name: insert.excluded[name] for name in columns if name not in SCOPE}
    is_old = _KEYS.c.created_at <= bindparam("too_old", type_=_KEYS.c.created_at.type)
    return insert.on_conflict_do_update(index_elements=SCOPE, set_=renewed, where=is_old).execution_options(
        preserve_rowcount=True
    )


def _row(request: KeyedRequest) -> Any:
    return (
        session()
        .execute(
            select(
                IdempotencyKey.id,
                IdempotencyKey.body_hash,
                IdempotencyKey.claimed_until_at,
                IdempotencyKey.response_status,
                IdempotencyKey.response_body,
            ).where(*_is(request))
        )
        .one_or_none()
    )


def read_kept(request: KeyedRequest, row: Any) -> Answer:
    """Return the answer in a key's row (body_hash, response_status, response_body).

    Raises IdempotencyConflict for another body, Unavailable where no answer is kept yet.
    """
    if row is None or (row.response_status is None and row.body_hash == request.body_hash):
        # Its holder gave up or died between the two statements; the next try finds the way free.
        raise Unavailable()
    if row.body_hash != request.body_hash:
        raise IdempotencyConflict()
    return Answer(row.response_status, keyring.decrypt(row.response_body.decode("ascii")).encode())


def _store(request: KeyedRequest, answer: Answer) -> None:
    change_rows(
        update(IdempotencyKey)
        .where(*_is(request), IdempotencyKey.response_status.is_(None))
        .values(response_status=answer.status, response_body=_sealed(answer), claimed_until_at=None)
    )


def _sealed(answer: Answer) -> bytes:
    """Answers repeat voucher and door codes that are encrypted where they come from."""
    return keyring.encrypt(answer.body.decode()).encode("ascii")


@transactional
def _store_claimed(request: KeyedRequest, answer: Answer) -> None:
    _store(request, answer)


@transactional
def _release(request: KeyedRequest) -> None:
    change_rows(delete(IdempotencyKey).where(*_is(request), IdempotencyKey.response_status.is_(None)))


def _is(request: KeyedRequest) -> tuple[Any, ...]:
    return (
        IdempotencyKey.owner == request.owner,
        IdempotencyKey.method == request.method,
        IdempotencyKey.path == request.path,
        IdempotencyKey.key == request.key,
    )
