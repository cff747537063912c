"""Every way of paying can be stored, any other cannot, and only online ones are started as payments."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.domain.states import COUNTER_CHANNELS, PaymentChannel
from app.extensions import db
from app.models import Payment
from app.services import payments
from tests.services.counter import refused
from tests.services.shop import Shop

STORE = text("UPDATE payments SET channel = :channel")


def test_every_channel_can_be_stored_and_nothing_else(shop: Shop) -> None:
    shop.start_payment(shop.book())
    for channel in PaymentChannel:
        db.session.execute(STORE, {"channel": channel.value})
        db.session.commit()
        assert shop.rows(Payment)[0].channel is channel
    with pytest.raises(IntegrityError):
        db.session.execute(STORE, {"channel": "barter"})
    db.session.rollback()


def test_schema_is_whole_after_its_check_was_changed(shop: Shop) -> None:
    if db.engine.dialect.name == "sqlite":
        assert db.session.scalars(text("PRAGMA integrity_check")).all() == ["ok"]
        assert db.session.execute(text("PRAGMA foreign_key_check")).all() == []
    checks = db.inspect(db.engine).get_check_constraints("payments")
    assert "ck_payments_channel" in {check["name"] for check in checks}


@pytest.mark.parametrize("channel", [*COUNTER_CHANNELS, "barter", ""])
def test_only_online_services_start_a_payment(shop: Shop, channel: str) -> None:
    no = shop.book()
    with refused("invalid_field"):
        payments.start_payment(no, channel=channel, actor=shop.guest, now=shop.now)
