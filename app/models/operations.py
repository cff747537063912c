"""What the product keeps about itself: audit, idempotency keys, job runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.scope import StoreScoped
from app.models.types import JsonValue, UtcDateTime


class AuditEntry(StoreScoped, Base):
    """One change: who, what, when, and the values before and after; secrets are never in it."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_entity", "entity", "entity_id"),
        Index("ix_audit_entries_store_at", "store_id", "at"),
    )

    at: Mapped[Instant]
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[int | None] = mapped_column(Integer)
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    action: Mapped[str] = mapped_column(String(48))
    entity: Mapped[str] = mapped_column(String(48))
    entity_id: Mapped[str] = mapped_column(String(48))
    store_id: Mapped[int | None] = reference("stores.id", nullable=True, ondelete="SET NULL", index=False)
    before: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    after: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    reason: Mapped[str] = mapped_column(String(200), default="")

    @property
    def change(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The kind of thing with its values before and after."""
        return self.entity, self.before or {}, self.after or {}

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """Entries without a store are the owner's business only."""
        return cls.store_id.in_(store_ids)


class IdempotencyKey(Base):
    """The first answer to a keyed request, given again to its twins."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("owner", "method", "path", "key"),)

    owner: Mapped[str] = mapped_column(String(48))
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(64))
    body_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    # While the first request runs: when its claim lapses, should it have died.
    claimed_until_at: Mapped[MaybeInstant]
    response_status: Mapped[int | None] = mapped_column(Integer)
    response_body: Mapped[bytes | None] = mapped_column(LargeBinary)


class JobRun(Base):
    """The last run of each periodic job, for the health page."""

    __tablename__ = "job_runs"

    name: Mapped[str] = mapped_column(String(64), unique=True)
    started_at: Mapped[Instant]
    finished_at: Mapped[MaybeInstant]
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    handled_count: Mapped[int | None] = mapped_column(Integer)
    run_count: Mapped[int] = mapped_column(Integer, default=0)
    failure_count: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str] = mapped_column(String(200), default="")
