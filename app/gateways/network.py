"""Tells a request that never left from one whose outcome nobody knows."""

from __future__ import annotations

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from app.gateways.ports import GatewayUnavailable


def as_unavailable(error: Exception, service: str) -> GatewayUnavailable:
    """Return the error to raise for anything unexpected that a client library threw.

    Only the type of *error* is repeated: its text may hold an address with a secret or token. Raise the
    result `from None` for the same reason.
    """
    return GatewayUnavailable(
        f"{service} gave no usable answer ({type(error).__name__})", outcome_unknown=_may_have_arrived(error)
    )


def _may_have_arrived(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False
    cause = error.args[0] if isinstance(error, requests.exceptions.ConnectionError) and error.args else None
    return not (isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError))
