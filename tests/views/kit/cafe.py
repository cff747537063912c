"""A throw-away tea house with its own tables and screens: one of each kind of column and relation."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any

from flask import Flask, flash, g, redirect
from flask_appbuilder import AppBuilder
from flask_appbuilder.security.sqla.models import Role
from flask_babel import lazy_gettext as _l
from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Integer,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from werkzeug.security import generate_password_hash

from app.domain.actor import ALL_STORES, NO_STORES, StoreScope
from app.domain.errors import DomainError, InvalidField
from app.domain.states import LabelledEnum
from app.extensions import csrf, db, keyring, metadata, prepare_engine, set_scope, set_writing, use_scope
from app.models.operations import AuditEntry
from app.models.staff import Staff, staff_stores
from app.models.stores import Store
from app.models.types import EncryptedText, UtcDateTime, labelled
from app.views.base import KitInterface, LedgerView, ReferenceView, action
from app.views.kit import disable_fab_rest, install_kit
from app.views.security import QuefangSecurityManager
from app.views.staff import RoleView, StaffView
from config import DEVELOPMENT_SECRET, TestingSettings

PASSWORD = "tea-and-tiles-1"
# A cheap hash: these tests are not about its strength.
PASSWORD_HASH = generate_password_hash(PASSWORD, method="pbkdf2:sha256:1")


class Base(DeclarativeBase):
    """Tables of the tea house only; the product's migrations never see them."""


class InPlace:
    """Rows of a place."""

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> Any:
        return cls.store_id.in_(store_ids)  # type: ignore[attr-defined]


class Kind(LabelledEnum):
    SQUARE = ("square", _l("Square"), "blue")
    ROUND = ("round", _l("Round"), "green")


class Place(Base):
    __tablename__ = "cafe_places"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> Any:
        return cls.id.in_(store_ids)

    def __str__(self) -> str:
        return self.name


class Tag(Base):
    __tablename__ = "cafe_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)

    def __str__(self) -> str:
        return self.name


class Guest(Base):
    """Many rows without a place: a remote select."""

    __tablename__ = "cafe_guests"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), index=True)

    def __str__(self) -> str:
        return self.name


desk_tags = Table(
    "cafe_desk_tags",
    Base.metadata,
    Column("desk_id", ForeignKey("cafe_desks.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("cafe_tags.id"), primary_key=True),
)
deal_places = Table(
    "cafe_deal_places",
    Base.metadata,
    Column("deal_id", ForeignKey("cafe_deals.id", ondelete="CASCADE"), primary_key=True),
    Column("place_id", ForeignKey("cafe_places.id"), primary_key=True),
)


class Desk(InPlace, Base):
    """One of every kind of column."""

    __tablename__ = "cafe_desks"
    __table_args__ = (
        UniqueConstraint("store_id", "name", name="uq_cafe_desks_store_id_name"),
        CheckConstraint("capacity >= 1 AND capacity <= 20", name="ck_cafe_desks_capacity_range"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("cafe_places.id"))
    name: Mapped[str] = mapped_column(String(32), index=True)
    kind: Mapped[Kind] = mapped_column(labelled(Kind, "kind"))
    mood: Mapped[Kind | None] = mapped_column(labelled(Kind, "mood"))
    capacity: Mapped[int] = mapped_column(Integer, default=4)
    fee_fen: Mapped[int] = mapped_column(Integer, default=0)
    opens_minute: Mapped[int] = mapped_column(Integer, default=0)
    stay_minutes: Mapped[int] = mapped_column(Integer, default=60)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    is_quiet: Mapped[bool | None] = mapped_column(Boolean)
    open_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    since_on: Mapped[date | None] = mapped_column(Date)
    extra: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    remark: Mapped[str] = mapped_column(Text, default="")
    weight: Mapped[Any] = mapped_column(Numeric(6, 2), nullable=True)
    ratio: Mapped[float | None] = mapped_column(Float)
    pin: Mapped[str | None] = mapped_column(EncryptedText)
    version: Mapped[int] = mapped_column(Integer, default=1)

    store: Mapped[Place] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=desk_tags)
    visits: Mapped[list[Visit]] = relationship(back_populates="desk", passive_deletes="all")

    def __str__(self) -> str:
        return self.name


class VisitStatus(LabelledEnum):
    OPEN = ("open", _l("Open"), "blue")
    CLOSED = ("closed", _l("Closed"), "green")


class Visit(InPlace, Base):
    __tablename__ = "cafe_visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("cafe_places.id"))
    desk_id: Mapped[int] = mapped_column(ForeignKey("cafe_desks.id"))
    guest_id: Mapped[int | None] = mapped_column(ForeignKey("cafe_guests.id"))
    note: Mapped[str] = mapped_column(String(64), default="", index=True)
    amount_fen: Mapped[int] = mapped_column(Integer, default=0)
    status: Mapped[VisitStatus] = mapped_column(labelled(VisitStatus, "status"), default=VisitStatus.OPEN)
    created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    store: Mapped[Place] = relationship()
    desk: Mapped[Desk] = relationship(back_populates="visits")
    guest: Mapped[Guest | None] = relationship()

    def __str__(self) -> str:
        return f"visit {self.id}"


class Deal(Base):
    """Belongs to several places; visible where it holds in one of them."""

    __tablename__ = "cafe_deals"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32))
    places: Mapped[list[Place]] = relationship(secondary=deal_places)

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> Any:
        return cls.places.any(Place.id.in_(store_ids))


class Wish(Base):
    """Belongs to no place."""

    __tablename__ = "cafe_wishes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(64))


LABELS = {
    name: _l(name)
    for name in (
        *("mood", "capacity", "fee_fen", "opens_minute", "stay_minutes", "is_quiet", "open_at", "since_on"),
        *("extra", "weight", "ratio", "pin", "tags", "desk", "desk.name", "guest", "note", "places", "text"),
    )
}


def check_extra(value: Any) -> None:
    """The JSON column holds an object."""
    if not isinstance(value, dict):
        raise ValueError("An object is needed.")


class VisitView(ReferenceView):
    datamodel = KitInterface(Visit)
    list_title, item_title, label_columns = _l("Visits"), _l("Visit"), LABELS
    list_columns = ["id", "store", "desk", "desk.name", "guest", "note", "amount_fen", "status", "created_at"]
    show_columns = list_columns
    add_columns = ["store", "desk", "guest", "note", "amount_fen"]
    edit_columns = add_columns
    search_columns = ["desk", "guest", "status", "amount_fen", "created_at", "note"]
    order_columns = ["id", "amount_fen", "desk.name"]
    quick_search_columns = ["note"]


class DeskView(ReferenceView):
    datamodel = KitInterface(Desk)
    list_title, item_title, label_columns = _l("Desks"), _l("Desk"), LABELS
    list_columns = ["name", "store", "kind", "fee_fen", "opens_minute", "is_active", "open_at"]
    show_columns = [*list_columns, "extra", "pin", "tags", "remark", "mood"]
    add_columns = [
        *(
            "store",
            "name",
            "kind",
            "mood",
            "capacity",
            "fee_fen",
            "opens_minute",
            "stay_minutes",
            "is_active",
        ),
        *("is_quiet", "open_at", "since_on", "extra", "remark", "weight", "ratio", "pin", "tags"),
    ]
    edit_columns = add_columns
    search_columns = [
        *(
            "store",
            "name",
            "kind",
            "is_active",
            "fee_fen",
            "capacity",
            "open_at",
            "since_on",
            "weight",
            "tags",
        )
    ]
    order_columns = ["name", "fee_fen", "store.name"]
    base_order = ("name", "asc")
    quick_search_columns = ["name"]
    small_relations = frozenset({"tags"})
    json_checks = {"extra": check_extra}
    constraint_messages = {"uq_cafe_desks_store_id_name": ("name", _l("This name is taken in the store."))}
    related_views = [VisitView]

    def pre_add(self, item: Desk) -> None:
        if item.name == "refused":
            raise InvalidField.of("name", _l("Not this one."))
        if item.name == "broken":
            raise RuntimeError("a defect in a hook")

    def pre_update(self, item: Desk) -> None:
        if item.name == "refused":
            raise DomainError(_l("This name is refused."))

    def post_update(self, item: Desk) -> None:
        if item.remark == "refuse late":
            raise DomainError(_l("Refused after the write."))


class VisitLedgerView(LedgerView):
    datamodel = KitInterface(Visit)
    list_title, item_title, label_columns = _l("Ledger"), _l("Visit"), LABELS
    list_columns = ["id", "note", "status"]
    show_columns = list_columns
    search_columns = ["status"]
    order_columns = ["id"]

    @action("close", _l("Close"), _l("Close the visit?"), "check")
    def close(self, items: Any) -> Any:
        for item in items if isinstance(items, list) else [items]:
            item.status = VisitStatus.CLOSED
            if item.note == "refuse":
                raise DomainError(_l("This visit stays open."))
        flash("closed", "success")
        return redirect(self.get_redirect())

    @action("peek", _l("Peek"), multiple=False)
    def peek(self, item: Any) -> None:
        """Only on a detail page."""


class DealView(ReferenceView):
    datamodel = KitInterface(Deal)
    list_title, item_title, label_columns = _l("Deals"), _l("Deal"), LABELS
    list_columns = ["name", "places"]
    show_columns = add_columns = edit_columns = list_columns
    search_columns = ["places"]
    small_relations = frozenset({"places"})


class PlaceView(ReferenceView):
    datamodel = KitInterface(Place)
    list_title, item_title = _l("Places"), _l("Place")
    list_columns = show_columns = add_columns = edit_columns = search_columns = ["name"]
    related_views = [DeskView]


class GuestView(ReferenceView):
    datamodel = KitInterface(Guest)
    is_store_scoped = False
    list_title, item_title = _l("Guests"), _l("Guest")
    list_columns = show_columns = add_columns = edit_columns = search_columns = ["name"]


VIEWS = (VisitView, DeskView, VisitLedgerView, DealView, PlaceView, GuestView, StaffView, RoleView)


def make_cafe(url: str, **overrides: Any) -> Flask:
    """Return the application on an empty database, with its tables and permissions made."""
    app = Flask("app")
    app.config.from_object(TestingSettings())
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        RATELIMIT_ENABLED=True,
        RATELIMIT_STORAGE_URI="memory://",
        FAB_CREATE_DB=True,
        FAB_UPDATE_PERMS=True,
        BABEL_DEFAULT_LOCALE="en",
        **overrides,
    )
    keyring.configure([DEVELOPMENT_SECRET], DEVELOPMENT_SECRET)
    disable_fab_rest(app)
    db.init_app(app)
    csrf.init_app(app)
    with app.app_context():
        prepare_engine(db.engine, 20)
        make_tables()
        appbuilder = AppBuilder(app, db.session, security_manager_class=QuefangSecurityManager)
        for number, view in enumerate(VIEWS):
            appbuilder.add_view(view, f"Menu {number}", category="Cafe")
        appbuilder.add_permissions(update_perms=True)
        install_kit(app, appbuilder)
        db.session.remove()
    app.before_request(scope_of_request)
    app.teardown_request(forget_request)
    return app


def make_tables() -> None:
    """Create FAB's tables, the few of the product that accounts need, and the tea house's own."""
    own = [Store.__table__, staff_stores, AuditEntry.__table__]
    fab = [table for table in metadata.sorted_tables if table.name.startswith("ab_")]
    metadata.create_all(db.engine, tables=[*fab, *own])
    Base.metadata.create_all(db.engine)


def scope_of_request() -> None:
    """What the product does before each request: the scope of the account, the writer's lock for posts."""
    from flask import request

    set_writing(request.method == "POST")
    user = g.user
    if not user.is_authenticated:
        set_scope(NO_STORES)
    elif any(role.name == "Owner" for role in user.roles):
        set_scope(ALL_STORES)
    else:
        set_scope(StoreScope(store_ids=frozenset(store.id for store in user.stores)))


def forget_request(_error: BaseException | None) -> None:
    """What the product does after each request; later tests would inherit the writer's lock."""
    set_writing(False)
    set_scope(NO_STORES)


def fill(app: Flask) -> None:
    """Two places with two desks each, accounts of three roles, sixty guests."""
    with app.app_context(), use_scope(ALL_STORES):
        session = db.session
        stores = [Store(id=number, name=f"Place {number}") for number in (1, 2)]
        session.add_all([*stores, *(Place(id=number, name=f"Place {number}") for number in (1, 2))])
        session.flush()
        session.add_all([Tag(name=name) for name in ("window", "corner")])
        session.add_all([Guest(name=f"Guest {number:03d}") for number in range(60)])
        for place in (1, 2):
            for number in (1, 2):
                session.add(
                    Desk(
                        id=place * 10 + number, store_id=place, name=f"Desk {place}-{number}", kind=Kind.ROUND
                    )
                )
        session.flush()
        for place in (1, 2):
            session.add(Visit(id=place, store_id=place, desk_id=place * 10 + 1, note=f"visit of {place}"))
        session.add(Deal(id=1, name="Both", places=[session.get(Place, 1), session.get(Place, 2)]))
        session.commit()
        add_accounts(stores)
        restart_sequences()


def restart_sequences() -> None:
    """Rows above have chosen ids; PostgreSQL must not give them out again."""
    if db.engine.dialect.name == "postgresql":
        for name in ("cafe_places", "cafe_desks", "cafe_visits", "cafe_deals", "stores"):
            db.session.execute(db.text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), 100)"))
        db.session.commit()


def add_accounts(stores: list[Store]) -> None:
    """owner: everything; manager: place 1, every screen; clerk: place 1, may only read desks."""
    session = db.session
    roles = {role.name: role for role in session.query(Role)}
    manager, clerk = Role(name="Manager"), Role(name="Clerk")
    manager.permissions = list(roles["Owner"].permissions)
    clerk.permissions = [
        row
        for row in roles["Owner"].permissions
        if (row.permission.name, row.view_menu.name) in {("can_read", "DeskView"), ("can_export", "DeskView")}
    ]
    session.add_all([manager, clerk])
    for username, role, own in (
        ("owner", roles["Owner"], []),
        ("manager", manager, stores[:1]),
        ("clerk", clerk, stores[:1]),
    ):
        session.add(
            Staff(
                username=username,
                first_name=username,
                last_name="王",
                email=f"{username}@example.com",
                password=PASSWORD_HASH,
                active=True,
                roles=[role],
                stores=own,
            )
        )
    session.commit()


class Weather(Enum):
    """An enum without labels, for cells."""

    SUNNY = "sunny"
