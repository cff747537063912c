"""Customer logins: short access tokens that name a session, and refresh tokens that rotate in it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from sqlalchemy import bindparam, exists, select, update

from app.domain.actor import SYSTEM, Actor, customer_actor
from app.domain.errors import TokenExpired, TokenInvalid
from app.extensions import keyring
from app.models import Customer, CustomerSession
from app.services.audit import record_change
from app.services.unit_of_work import change_rows, session, transactional

_ALGORITHM = "HS256"
_ACCESS = "access"
_MAX_ID = 2**31 - 1
MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login hands out; `expires_in` is the life of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Login:
    """Who makes a request, and in which session."""

    actor: Actor
    session_id: int


class _Claims(NamedTuple):
    """The part of an access token that counts; `expires` is in seconds of the epoch."""

    session_id: int
    customer_id: int
    expires: float


@dataclass
class _Configured:
    # The first key signs, all of them verify, so that the secret can be changed without logging anybody out.
    keys: tuple[bytes, ...] = ()
    access_life: timedelta = timedelta(minutes=30)
    refresh_life: timedelta = timedelta(days=30)


_configured = _Configured()
# Made once: building it costs more than the database takes to answer.
_CUSTOMERS, _SESSIONS = Customer.__table__, CustomerSession.__table__
_LIVING = (
    select(_CUSTOMERS.c.nickname)
    .join(_SESSIONS, _SESSIONS.c.customer_id == _CUSTOMERS.c.id)
    .where(
        _SESSIONS.c.id == bindparam("session"),
        _SESSIONS.c.revoked_at.is_(None),
        _SESSIONS.c.expires_at > bindparam("now"),
        _CUSTOMERS.c.id == bindparam("customer"),
        _CUSTOMERS.c.is_active,
    )
)


def configure(secret_keys: Sequence[str], *, access_minutes: int, refresh_days: int) -> None:
    """Set the secrets that sign access tokens, newest first, and how long tokens live."""
    _decode.cache_clear()
    _configured.keys = tuple(hashlib.sha256(f"quefang-access:{key}".encode()).digest() for key in secret_keys)
    _configured.access_life = timedelta(minutes=access_minutes)
    _configured.refresh_life = timedelta(days=refresh_days)


@transactional
def open_session(customer_id: int, *, now: datetime) -> TokenPair:
    """Log a customer in and return the first pair of tokens."""
    # The refresh token names its session, so the row comes first, under a hash that nothing can match.
    row = CustomerSession(
        customer_id=customer_id,
        refresh_hash=secrets.token_hex(32),
        created_at=now,
        expires_at=now + _configured.refresh_life,
    )
    session().add(row)
    session().flush()
    refresh_token = _new_refresh_token(row.id)
    row.refresh_hash = _refresh_hash(refresh_token)
    return _pair(row.id, customer_id, refresh_token, now)


def refresh_tokens(refresh_token: str, *, now: datetime) -> TokenPair:
    """Exchange a refresh token for a new pair; it works once.

    Raises TokenExpired after its 30 days, TokenInvalid for anything else that is not the newest token of a
    living session. A token that was already used was stolen or copied: the whole session ends.
    """
    pair = _rotate(refresh_token, _session_id_of(refresh_token), now=now)
    if isinstance(pair, TokenPair):
        return pair
    raise pair


@transactional
def revoke_session(session_id: int, *, actor: Actor, now: datetime, reason: str = "logout") -> None:
    """End a session: its access and refresh tokens are dead at once."""
    _revoke(session_id, actor=actor, now=now, reason=reason)


def authenticate(access_token: str, *, now: datetime) -> Login:
    """Return whose token this is, checked against the database in one query.

    Raises TokenExpired when its time is over, TokenInvalid when it is not one of ours, or its session was
    ended or its customer disabled.
    """
    claims = _decode(access_token)
    if now.timestamp() >= claims.expires:
        raise TokenExpired()
    values = {"session": claims.session_id, "customer": claims.customer_id, "now": now}
    nickname = session().connection().execute(_LIVING, values).scalar_one_or_none()
    if nickname is None:
        raise TokenInvalid()
    return Login(customer_actor(claims.customer_id, nickname), claims.session_id)


def customer_id_in(access_token: str) -> int | None:
    """Return the customer that a token of ours names, alive or not, without a query; else None."""
    try:
        return _decode(access_token).customer_id
    except TokenInvalid:
        return None


def _pair(session_id: int, customer_id: int, refresh_token: str, now: datetime) -> TokenPair:
    life = _configured.access_life
    claims = {
        "typ": _ACCESS,
        "sub": str(customer_id),
        "sid": session_id,
        "iat": int(now.timestamp()),
        "exp": int((now + life).timestamp()),
    }
    access_token = jwt.encode(claims, _configured.keys[0], algorithm=_ALGORITHM)
    return TokenPair(access_token, refresh_token, int(life.total_seconds()))


@lru_cache(maxsize=MOST_REMEMBERED)
def _decode(access_token: str) -> _Claims:
    """Return what a token of ours says; remembered, because each is shown many times in its half hour.

    The expiry is compared by the caller, with the `now` of the request.
    """
    options: Any = {"require": ["exp", "sub", "sid", "typ"], "verify_exp": False, "verify_iat": False}
    for key in _configured.keys:
        try:
            claims = jwt.decode(access_token, key, algorithms=[_ALGORITHM], options=options)
        except (jwt.InvalidTokenError, UnicodeError, ValueError):
            continue
        if claims["typ"] == _ACCESS:
            return _read_claims(claims)
    raise TokenInvalid()


def _read_claims(claims: dict[str, Any]) -> _Claims:
    try:
        return _Claims(int(claims["sid"]), int(claims["sub"]), claims["exp"])
    except (TypeError, ValueError):
        raise TokenInvalid() from None


def _new_refresh_token(session_id: int) -> str:
    """A refresh token says which session it belongs to and proves that it is ours.

    Without the proof anybody could end a stranger's session by inventing an "old" token of it.
    """
    text = f"{session_id}.{secrets.token_urlsafe(24)}"
    return f"{text}.{_proof(text)}"


def _proof(text: str) -> str:
    return keyring.keyed_hash("refresh-proof", text)[:32]


def _refresh_hash(refresh_token: str) -> str:
    return keyring.keyed_hash("refresh", refresh_token)


def _session_id_of(refresh_token: str) -> int:
    text, _, proof = refresh_token.rpartition(".")
    if not text.isascii() or not hmac.compare_digest(_proof(text).encode(), proof.encode()):
        raise TokenInvalid()
    session_id = int(text.split(".")[0])
    assert 0 < session_id <= _MAX_ID
    return session_id


@transactional
def _rotate(refresh_token: str, session_id: int, *, now: datetime) -> TokenPair | TokenInvalid | TokenExpired:
    """Replace the session's refresh token if this is the current one; a refusal is returned, not raised,

    because ending a session whose token was used twice has to be committed.
    """
    newest = _new_refresh_token(session_id)
    customer_id = session().scalar(
        update(CustomerSession)
        .where(
            CustomerSession.id == session_id,
            CustomerSession.refresh_hash == _refresh_hash(refresh_token),
            CustomerSession.revoked_at.is_(None),
            CustomerSession.expires_at > now,
            exists().where(Customer.id == CustomerSession.customer_id, Customer.is_active),
        )
        .values(refresh_hash=_refresh_hash(newest), expires_at=now + _configured.refresh_life)
        .returning(CustomerSession.customer_id)
        .execution_options(synchronize_session=False)
    )
    if customer_id is not None:
        return _pair(session_id, customer_id, newest, now)
    return _judge(refresh_token, session_id, now=now)


def _judge(refresh_token: str, session_id: int, *, now: datetime) -> TokenInvalid | TokenExpired:
    row = session().get(CustomerSession, session_id, populate_existing=True)
    if row is None or row.revoked_at is not None:
        return TokenInvalid()
    if row.refresh_hash != _refresh_hash(refresh_token):
        _revoke(session_id, actor=SYSTEM, now=now, reason="refresh token used twice")
        return TokenInvalid()
    return TokenExpired() if row.expires_at <= now else TokenInvalid()


def _revoke(session_id: int, *, actor: Actor, now: datetime, reason: str) -> None:
    ended = change_rows(
        update(CustomerSession)
        .where(CustomerSession.id == session_id, CustomerSession.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if ended:
        record_change(
            actor=actor,
            action="customer_session.revoke",
            entity="customer_session",
            entity_id=session_id,
            now=now,
            reason=reason,
        )
