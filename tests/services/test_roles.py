"""Shipped roles: given once, then the owner's; what a later version ships reaches roles that exist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from flask_migrate import upgrade
from sqlalchemy import select

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.models import AuditEntry
from app.models.staff import PermissionView, Role
from app.services import roles
from tests.conftest import make_app

FIRST_VERSION = "0005"
TILL = {
    *(
        f"{permission} {view}"
        for permission in ("can_read", "can_write")
        for view in ("ShiftView", "CounterRefundView")
    ),
    *("menu_access shifts", "menu_access counter_refunds", "menu_access counter"),
}


@pytest.fixture
def old_shop(fresh_url: str, redis_url: str, tmp_path: Path, now: datetime) -> Iterator[None]:
    """A database of the first version whose owner has changed two roles, at the newest migration."""
    app = make_app(fresh_url, redis_url, tmp_path)
    with app.app_context(), use_scope(ALL_STORES):
        upgrade(revision=FIRST_VERSION)
        app.appbuilder.add_permissions(update_perms=True)  # type: ignore[attr-defined]
        # The owner's cashiers look up customers, and do not open walk-ins.
        grant("Cashier", "can_read OrderView", "can_act OrderView", "can_read CustomerView")
        grant("Manager", "can_read OrderView", "can_act OrderView", "menu_access counter")
        grant("Night shift", "can_read OrderView")
        db.session.remove()
        upgrade()
        roles.sync_roles(now=now)
        yield
        db.session.remove()
        db.engine.dispose()


def grant(name: str, *grants: str) -> None:
    pairs = [each.split() for each in grants]
    rows = db.session.scalars(select(PermissionView)).all()
    role = Role(name=name)
    role.permissions = [row for row in rows if [row.permission.name, row.view_menu.name] in pairs]
    assert len(role.permissions) == len(pairs)
    db.session.add(role)
    db.session.commit()


def grants(name: str) -> set[str]:
    db.session.rollback()
    db.session.expire_all()
    role = db.session.scalars(select(Role).where(Role.name == name)).one()
    return {f"{row.permission.name} {row.view_menu.name}" for row in role.permissions}


def test_roles_that_exist_get_what_is_new_and_nothing_that_was_taken_away(old_shop: None) -> None:
    cashier, manager = grants("Cashier"), grants("Manager")

    assert cashier == {
        *("can_read OrderView", "can_act OrderView", "can_read CustomerView"),
        *("can_adjust OrderView", "can_read ReceiptView", *TILL),
    }
    assert {"can_adjust OrderView", "can_blacklist CustomerView", "can_read PriceTrialView"} <= manager
    assert {"menu_access price_trial", "menu_access rules"} <= manager
    # Neither the store screen nor its menu entry comes back with the new permissions of other screens.
    assert not {each for each in manager if "StoreView" in each or each == "menu_access stores"}
    assert "can_read CustomerView" not in manager
    assert grants("Night shift") == {"can_read OrderView"}
    assert "can_read PriceTrialView" in grants("Analyst")


def test_the_owner_may_take_the_new_away_for_good(old_shop: None, now: datetime) -> None:
    role = db.session.scalars(select(Role).where(Role.name == "Cashier")).one()
    role.permissions = [row for row in role.permissions if row.permission.name != "can_adjust"]
    db.session.commit()

    roles.sync_roles(now=now)

    assert "can_adjust OrderView" not in grants("Cashier")


def test_every_change_of_a_role_is_audited_once(old_shop: None, now: datetime) -> None:
    roles.sync_roles(now=now)

    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.entity == "ab_role")).all()
    assert sorted((entry.action, entry.entity_id) for entry in entries) == [
        ("create", "Analyst"),
        ("create", "Service"),
        ("update", "Cashier"),
        ("update", "Manager"),
    ]
    told = next(entry for entry in entries if entry.entity_id == "Cashier")
    assert told.after is not None and told.after["permissions"][0] == "OrderView: can_adjust"
