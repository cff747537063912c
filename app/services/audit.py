"""The audit log: every change leaves a named entry in the transaction that makes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.domain.actor import Actor
from app.models import AuditEntry
from app.services.unit_of_work import session


def record_change(
    *,
    actor: Actor,
    action: str,
    entity: str,
    entity_id: object,
    now: datetime,
    store_id: int | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Add an entry to the current transaction. `before`/`after` are JSON-ready and free of secrets."""
    session().add(
        AuditEntry(
            at=now,
            actor_kind=actor.kind.value,
            actor_id=actor.id,
            actor_name=actor.name,
            action=action,
            entity=entity,
            entity_id=str(entity_id),
            store_id=store_id,
            before=before,
            after=after,
            reason=reason[:200],
        )
    )
