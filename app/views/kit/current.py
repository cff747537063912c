"""Who is acting in this back-office request."""

from __future__ import annotations

from flask import g

from app.domain.actor import Actor, staff_actor
from app.extensions import current_scope


def current_actor() -> Actor:
    """Return the logged-in member of staff as the actor of a service call."""
    user = g.user
    return staff_actor(user.id, str(user.get_full_name()) or user.username, current_scope())
