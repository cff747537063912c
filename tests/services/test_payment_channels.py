"""Every way of paying can be stored, any other cannot, and only online ones are started as payments."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask_migrate import downgrade, upgrade
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.domain.states import COUNTER_CHANNELS, OrderKind, OrderStatus, PaymentChannel, PaymentStatus
from app.extensions import db
from app.models import Order, Payment
from app.services import payments
from tests import factories
from tests.conftest import make_app
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


@pytest.mark.parametrize(("channel", "is_kept"), [("wechat_native", True), ("counter_cash", False)])
def test_first_version_takes_back_only_what_it_knew(
    fresh_url: str, redis_url: str, tmp_path: Path, channel: str, is_kept: bool
) -> None:
    """Both engines refuse to forget how money came in, and leave it as it was."""
    app = make_app(fresh_url, redis_url, tmp_path)
    with app.app_context():
        try:
            upgrade()
            _save_payment(PaymentChannel.of(channel))
            if is_kept:
                downgrade(revision="0005")
            else:
                with pytest.raises(SystemExit):
                    downgrade(revision="0005")
            upgrade()
            assert db.session.scalars(text("SELECT channel FROM payments")).all() == [channel]
        finally:
            db.session.remove()
            db.engine.dispose()


def _save_payment(channel: PaymentChannel) -> None:
    order = Order(
        no="B1",
        kind=OrderKind.BOOKING,
        status=OrderStatus.PAID,
        store=factories.make_store(),
        created_at=factories.NOW,
        policy={},
        base_fen=100,
        total_fen=100,
    )
    db.session.add(order)
    db.session.flush()
    times = {"created_at": factories.NOW, "expires_at": factories.NOW}
    values = {"status": PaymentStatus.SUCCEEDED, "amount_fen": 100}
    db.session.add(Payment(payment_no="P1", order_id=order.id, channel=channel, **values, **times))
    db.session.commit()
    db.session.remove()
