"""Group-buy campaigns and the teams that fill them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import CampaignStatus, TeamStatus
from app.extensions import metadata
from app.models.base import Base, Instant, MaybeInstant, Versioned, reference
from app.models.customers import Customer
from app.models.rooms import Room, RoomType
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import JsonValue, UtcDateTime, labelled


def _link(name: str, left: str, right: str) -> Table:
    """Return a many-to-many table between campaigns and something else."""
    return Table(
        name,
        metadata,
        Column(left, ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
        Column(f"{right.rstrip('s')}_id", ForeignKey(f"{right}.id", ondelete="RESTRICT"), primary_key=True),
    )


campaign_stores = _link("campaign_stores", "campaign_id", "stores")
campaign_room_types = _link("campaign_room_types", "campaign_id", "room_types")
campaign_rooms = _link("campaign_rooms", "campaign_id", "rooms")


class Campaign(Versioned, StoreScoped, Base):
    """A package sold as vouchers. Empty `room_types` and `rooms` mean every room of the stores.

    `bands` is ``[{"start": "10:00", "end": "18:00"}, …]`` in store-local time, `weekdays` 0 = Monday; empty
    means always.
    """

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint("package_minutes > 0 AND package_minutes <= 1440", name="minutes_range"),
        CheckConstraint("price_fen >= 0 AND list_price_fen >= price_fen", name="price_order"),
        CheckConstraint("team_size >= 1 AND team_size <= 100", name="team_size_range"),
        CheckConstraint("team_size = 1 OR team_minutes > 0", name="team_minutes_given"),
        CheckConstraint("sale_starts_at < sale_ends_at", name="sale_order"),
        CheckConstraint(
            "sold_count >= 0 AND (stock IS NULL OR sold_count <= stock)", name="stock_not_oversold"
        ),
        CheckConstraint("per_customer_limit IS NULL OR per_customer_limit >= 1", name="limit_range"),
        CheckConstraint("valid_days IS NOT NULL OR valid_until_at IS NOT NULL", name="validity_given"),
    )

    title: Mapped[str] = mapped_column(String(64))
    status: Mapped[CampaignStatus] = mapped_column(
        labelled(CampaignStatus, "status"), default=CampaignStatus.DRAFT, index=True
    )
    package_minutes: Mapped[int] = mapped_column(Integer)
    people: Mapped[int] = mapped_column(Integer, default=4)
    weekdays: Mapped[list[int]] = mapped_column(JsonValue, default=list)
    bands: Mapped[list[dict[str, str]]] = mapped_column(JsonValue, default=list)
    # Local dates (YYYY-MM-DD) on which vouchers cannot be used.
    excluded_on: Mapped[list[str]] = mapped_column(JsonValue, default=list)
    price_fen: Mapped[int] = mapped_column(Integer)
    list_price_fen: Mapped[int] = mapped_column(Integer)
    team_size: Mapped[int] = mapped_column(Integer, default=1)
    team_minutes: Mapped[int] = mapped_column(Integer, default=0)
    sale_starts_at: Mapped[Instant]
    sale_ends_at: Mapped[Instant]
    # Null means without limit; unpaid orders count until they expire.
    stock: Mapped[int | None] = mapped_column(Integer)
    sold_count: Mapped[int] = mapped_column(Integer, default=0)
    per_customer_limit: Mapped[int | None] = mapped_column(Integer)
    valid_days: Mapped[int | None] = mapped_column(Integer)
    valid_until_at: Mapped[MaybeInstant]
    # Whether expired vouchers are refunded by themselves.
    is_refunded_on_expiry: Mapped[bool] = mapped_column(Boolean, default=True)
    description_html: Mapped[str] = mapped_column(Text, default="")
    terms: Mapped[str] = mapped_column(Text, default="")
    cover_url: Mapped[str | None] = mapped_column(String(300))
    share_title: Mapped[str] = mapped_column(String(64), default="")
    share_image_url: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    stores: Mapped[list[Store]] = relationship(secondary=campaign_stores)
    room_types: Mapped[list[RoomType]] = relationship(secondary=campaign_room_types)
    rooms: Mapped[list[Room]] = relationship(secondary=campaign_rooms)

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """A campaign lies in scope by any of its stores."""
        return cls.id.in_(
            select(campaign_stores.c.campaign_id).where(campaign_stores.c.store_id.in_(store_ids))
        )

    def __str__(self) -> str:
        return self.title


class CampaignBuyer(Base):
    """How many vouchers of a campaign a customer took; the row that enforces the personal limit."""

    __tablename__ = "campaign_buyers"
    __table_args__ = (
        UniqueConstraint("campaign_id", "customer_id"),
        CheckConstraint("taken_count >= 0", name="taken_range"),
    )

    campaign_id: Mapped[int] = reference("campaigns.id", ondelete="CASCADE")
    customer_id: Mapped[int] = reference("customers.id", ondelete="CASCADE")
    taken_count: Mapped[int] = mapped_column(Integer, default=0)


class CampaignEvent(Base):
    """One step of the funnel: view, share, start, join, pay, redeem."""

    __tablename__ = "campaign_events"
    __table_args__ = (Index("ix_campaign_events_campaign_kind", "campaign_id", "kind", "at"),)

    campaign_id: Mapped[int] = reference("campaigns.id", ondelete="CASCADE", index=False)
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[Instant]
    customer_id: Mapped[int | None] = reference("customers.id", nullable=True, index=False)
    shared_by_id: Mapped[int | None] = reference("customers.id", nullable=True, index=False)


class Team(StoreScoped, Base):
    """Customers who must fill a campaign's team size before vouchers are issued."""

    __tablename__ = "teams"
    __table_args__ = (
        CheckConstraint("joined_count >= 0 AND joined_count <= size", name="not_overfull"),
        Index(
            "ix_teams_expiry",
            "expires_at",
            sqlite_where=text("status = 'forming'"),
            postgresql_where=text("status = 'forming'"),
        ),
    )

    no: Mapped[str] = mapped_column(String(32), unique=True)
    campaign_id: Mapped[int] = reference("campaigns.id")
    starter_id: Mapped[int] = reference("customers.id")
    size: Mapped[int] = mapped_column(Integer)
    # Seats taken, unpaid ones included until they expire.
    joined_count: Mapped[int] = mapped_column(Integer, default=0)
    status: Mapped[TeamStatus] = mapped_column(labelled(TeamStatus, "status"))
    created_at: Mapped[Instant]
    expires_at: Mapped[Instant]

    campaign: Mapped[Campaign] = relationship()
    starter: Mapped[Customer] = relationship()

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """A team lies in scope with its campaign."""
        return cls.campaign_id.in_(select(Campaign.id).where(Campaign.store_scope_clause(store_ids)))

    def __str__(self) -> str:
        return self.no
