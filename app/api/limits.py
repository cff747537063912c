"""Rate limits: per address and per customer, stricter where codes can be guessed.

Counted in Redis; while it does not answer, each process counts for itself and leaves Redis alone for some
seconds, so that a request waits for it once at most.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any

from flask import Response, current_app, g, request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter
from redis.commands.core import Script

from app.api.auth import bearer_token
from app.api.language import is_api_request
from app.domain.errors import RateLimited, TokenInvalid
from app.extensions import limiter
from app.services import tokens

log = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
View = Callable[..., Any]


# Counts several keys in one trip; the first of a window sets when it ends.
COUNT_ALL = b"""
local most = 0
for _, key in ipairs(KEYS) do
    local count = redis.call('INCR', key)
    if count == 1 then redis.call('EXPIRE', key, ARGV[1]) end
    most = math.max(most, count)
end
return most
"""


class Counter:
    """Counts in the shared storage, or in this process while the storage is away."""

    def __init__(self) -> None:
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared: dict[int, RateLimiter] = {}
        self._scripts: dict[int, Script] = {}
        self._paused_until = 0.0

    def hit(self, limit: RateLimitItem, *keys: tuple[str, str]) -> bool:
        """Count one more under each key and tell whether all are still within the limit."""
        return self._ask(
            lambda: self._count_all(limit, keys),
            lambda: all(self._own.hit(limit, *key) for key in keys),
        )

    def has_room(self, limit: RateLimitItem, *keys: tuple[str, str]) -> bool:
        """Tell whether one more would be within the limit under each key."""
        return self._ask(
            lambda: all(self._strategy().test(limit, *key) for key in keys),
            lambda: all(self._own.test(limit, *key) for key in keys),
        )

    def _ask(self, shared: Callable[[], bool], own: Callable[[], bool]) -> bool:
        if time.monotonic() >= self._paused_until:
            try:
                return shared()
            except Exception as error:
                # Whatever the storage's client raises: counting must never refuse a customer.
                self._paused_until = time.monotonic() + PAUSE_SECONDS
                log.warning("rate limits are counted here, the storage says %s", type(error).__name__)
        return own()

    def _count_all(self, limit: RateLimitItem, keys: Sequence[tuple[str, str]]) -> bool:
        storage = limiter.storage
        if not isinstance(storage, RedisStorage):
            return all(self._strategy().hit(limit, *key) for key in keys)
        names = [storage.prefixed_key(limit.key_for(*key)) for key in keys]
        if id(storage) not in self._scripts:
            self._scripts[id(storage)] = storage.get_connection().register_script(COUNT_ALL)
        return int(self._scripts[id(storage)](names, [limit.get_expiry()])) <= limit.amount

    def _strategy(self) -> RateLimiter:
        storage = limiter.storage
        return self._shared.setdefault(id(storage), FixedWindowRateLimiter(storage))


counter = Counter()


@lru_cache(maxsize=64)
def _parsed(text: str) -> RateLimitItem:
    return parse(text)


def _limit(setting: str) -> RateLimitItem:
    return _parsed(current_app.config[setting])


def is_within_limit(address: str) -> bool:
    """Count a request without a login against its address and tell whether it is still within the limit."""
    if not current_app.config["RATELIMIT_ENABLED"]:
        return True
    return counter.hit(_limit("API_RATE_LIMIT"), ("api", f"address:{address}"))


def check_request() -> None:
    """Count the request against its address and, with a token of ours, its customer; raises RateLimited."""
    if not is_api_request() or not current_app.config["RATELIMIT_ENABLED"]:
        return
    limit = _limit("API_RATE_LIMIT")
    if not counter.hit(limit, *(("api", sender) for sender in _senders())):
        raise too_many(limit)


def _senders() -> list[str]:
    """Return the address and the customer that the token names; whether it still lives is asked later."""
    senders = [f"address:{request.remote_addr}"]
    try:
        token = bearer_token()
    except TokenInvalid:
        return senders
    customer_id = tokens.customer_id_in(token) if token else None
    if customer_id is not None:
        senders.append(f"customer:{customer_id}")
    return senders


def too_many(limit: RateLimitItem) -> RateLimited:
    """Return the refusal that says when to come back."""
    return RateLimited(data={"retry_after_seconds": limit.get_expiry()})


def limit_failures(
    setting: str,
    scope: str,
    is_failure: Callable[[Response], bool],
    is_try: Callable[[], bool] = lambda: True,
) -> Callable[[View], View]:
    """Refuse further tries of a sender whose answers were failures too often; successes are free.

    *setting* names the limit, *scope* what is counted together; *is_try* tells whether a request is one.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Any:
            if not current_app.config["RATELIMIT_ENABLED"] or not is_try():
                return view(*args, **kwargs)
            limit = _limit(setting)
            keys = [(scope, sender) for sender in _senders()]
            if not counter.has_room(limit, *keys):
                raise too_many(limit)
            g.failure_limits = [*g.get("failure_limits", []), (limit, keys, is_failure)]
            return view(*args, **kwargs)

        return run

    return decorate


def count_failures(answer: Response) -> Response:
    """Count the answer against the limits on failures that its handler is under."""
    for limit, keys, is_failure in g.get("failure_limits", []):
        if is_failure(answer):
            counter.hit(limit, *keys)
    return answer
