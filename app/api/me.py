"""The customer's own profile, phone number and consents."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_actor, current_customer_id
from app.api.endpoints import Blueprint, Keyed
from app.api.guards import limit_codes
from app.api.schemas.customers import (
    ConsentCountsSchema,
    ConsentsSchema,
    CustomerSchema,
    PhoneSchema,
    ProfileSchema,
)
from app.domain.clock import utc_now
from app.services import customers, notifications

blueprint = Blueprint("me", "The customer's own profile")


@blueprint.operation("GET", "/me", answer=CustomerSchema)
def get_me() -> dict[str, Any]:
    """Return one's own profile."""
    return customers.get_customer(current_customer_id())


@blueprint.operation("PATCH", "/me", body=ProfileSchema, answer=CustomerSchema)
def change_me(body: dict[str, Any]) -> dict[str, Any]:
    """Change nickname, picture or language; what is left out stays."""
    return customers.update_profile(body, actor=current_actor(), now=utc_now())


@blueprint.operation(
    "POST", "/me/phone", body=PhoneSchema, answer=CustomerSchema, guard=limit_codes, keyed=Keyed.REMOTE
)
def bind_phone(body: dict[str, Any]) -> dict[str, Any]:
    """Keep the phone number behind the code of the phone button."""
    return customers.bind_phone(body["code"], actor=current_actor(), now=utc_now())


@blueprint.operation(
    "POST", "/me/consents", body=ConsentsSchema, answer=ConsentCountsSchema, keyed=Keyed.LOCAL
)
def record_consents(body: dict[str, Any]) -> dict[str, Any]:
    """Report what the customer answered when asked for messages, by template."""
    return {"consents": notifications.record_consents(current_customer_id(), body, now=utc_now())}
