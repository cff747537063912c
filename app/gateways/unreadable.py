"""What every gateway makes of facts that it cannot read: an unknown outcome, or a refused callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from app.gateways.ports import CallbackInvalid, GatewayUnavailable

_T = TypeVar("_T")


class FactsMalformed(ValueError):
    """An answer or a notice lacks something that it must have, or has it in a wrong form."""


def incomprehensible(service: str) -> GatewayUnavailable:
    """Return the error to raise for an answer that says nothing usable: what it did is not known."""
    return GatewayUnavailable(f"{service} answered without the expected facts", outcome_unknown=True)


def understood(service: str, read: Callable[[], _T]) -> _T:
    """Return what *read* finds in an answer; raises GatewayUnavailable when it cannot be read."""
    try:
        return read()
    except FactsMalformed:
        raise incomprehensible(service) from None


def trusted(read: Callable[[], _T]) -> _T:
    """Return what *read* finds in a verified callback; raises CallbackInvalid when it cannot be read."""
    try:
        return read()
    except FactsMalformed:
        raise CallbackInvalid("malformed_facts") from None
