"""Channels of the back office: switches, credentials that nobody sees again, the test that really asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app import gateways
from app.domain import merchant_keys as keys
from app.domain.actor import ALL_STORES, Actor, staff_actor
from app.domain.clock import utc_now
from app.domain.states import OrderStatus, PaymentChannel, RefundStatus
from app.extensions import db
from app.models import AuditEntry, ChannelCredential, ChannelExclusion, Refund, Store
from app.services import cancellations, catalog, channel_settings, channels, counter, payments, shifts
from tests import factories
from tests.sandbox.live import Live, start_live
from tests.services.counter import refused, unchanged
from tests.services.merchant import OTHER_KEY, PASSWORD, alipay, new_key, pfx, unionpay, wechat
from tests.services.shop import Shop
from tests.views.helpers import counted_statements


@pytest.fixture
def owner(app: Any) -> Actor:
    account = factories.make_staff("Owner", username="owner")
    return staff_actor(account.id, "周老板", ALL_STORES)


def audit() -> list[AuditEntry]:
    db.session.rollback()
    return list(db.session.query(AuditEntry).order_by(AuditEntry.id))


# Switches


def test_off_in_a_store_is_refused_there_only(shop: Shop, owner: Actor) -> None:
    other = factories.make_store(name="湖滨店")
    channel_settings.switch_channel(
        "wechat_pay", is_on=False, store_id=shop.store.id, actor=owner, now=shop.now
    )
    no = shop.book()

    with refused("channel_off"):
        payments.start_payment(no, channel="wechat_jsapi", actor=shop.guest, now=shop.now)
    assert catalog.get_store(shop.store.id, now=shop.now)["channels"] == []
    assert catalog.get_store(other.id, now=shop.now)["channels"] == ["wechat_jsapi", "wechat_native"]
    assert channels.code_channels(shop.store.id) == []
    assert channels.code_channels() == [PaymentChannel.WECHAT_NATIVE]

    channel_settings.switch_channel(
        "wechat_pay", is_on=True, store_id=shop.store.id, actor=owner, now=shop.now
    )
    assert shop.start_payment(no)
    assert [(entry.action, entry.store_id, entry.after) for entry in audit()] == [
        ("channel.switch", shop.store.id, {"is_on": False}),
        ("channel.switch", shop.store.id, {"is_on": True}),
    ]


def test_asking_where_it_is_on_costs_no_statement_of_its_own(shop: Shop) -> None:
    no = shop.book()
    with counted_statements() as sent:
        payments.start_payment(no, channel="wechat_jsapi", actor=shop.guest, now=shop.now)
    asked = [statement for statement in sent if "channel_exclusions" in statement]
    assert len(asked) == 1 and "FROM orders" in asked[0]


def test_off_everywhere_settles_and_refunds_what_is_under_way(shop: Shop, owner: Actor) -> None:
    no, second = shop.book(), shop.book(8)
    payment_no = shop.start_payment(no)
    channel_settings.switch_channel("wechat_pay", is_on=False, actor=owner, now=shop.now)

    with refused("channel_off"):
        payments.start_payment(second, channel="wechat_native", actor=shop.guest, now=shop.now)
    shop.notify(payment_no)
    assert shop.status(no) is OrderStatus.AWAITING_USE
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    shop.finish_refunds()

    assert (shop.status(no), shop.rows(Refund)[0].status) == (OrderStatus.REFUNDED, RefundStatus.SUCCEEDED)


@pytest.mark.parametrize("is_everywhere", [True, False], ids=["everywhere", "in the store"])
def test_counter_is_switched_like_the_services(shop: Shop, owner: Actor, is_everywhere: bool) -> None:
    no, cashier = shop.book(), shop.cashier()
    shifts.open_shift(shop.store.id, float_fen=0, actor=cashier, now=shop.now)
    store_id = None if is_everywhere else shop.store.id
    channel_settings.switch_channel("counter_cash", is_on=False, store_id=store_id, actor=owner, now=shop.now)
    cash = counter.read_tender({"channel": "counter_cash"})

    with refused("channel_off"):
        counter.take_payment(no, cash, actor=cashier, now=shop.now)
    desk = counter.describe_desk(shop.order(no), actor=cashier, now=shop.now)
    assert desk and desk["ways"] == [PaymentChannel.COUNTER_POS]

    channel_settings.switch_channel("counter_cash", is_on=True, store_id=store_id, actor=owner, now=shop.now)
    assert counter.take_payment(no, cash, actor=cashier, now=shop.now)["amount_fen"] == 12000


def test_switching_twice_changes_nothing(shop: Shop, owner: Actor) -> None:
    off: dict[str, Any] = {"is_on": False, "store_id": shop.store.id, "actor": owner, "now": shop.now}
    channel_settings.switch_channel("alipay", **off)
    with unchanged():
        channel_settings.switch_channel("alipay", **off)


def test_who_may_switch(shop: Shop, owner: Actor) -> None:
    manager, other = shop.cashier(), factories.make_store()
    mine: dict[str, Any] = {"is_on": False, "actor": manager, "now": shop.now}
    with refused("forbidden"):
        channel_settings.switch_channel("wechat_pay", **mine)
    with refused("not_found"):
        channel_settings.switch_channel("wechat_pay", store_id=other.id, **mine)
    with refused("not_found"):
        channel_settings.switch_channel("paypal", store_id=shop.store.id, **mine)
    with refused("invalid_transition"):
        channel_settings.switch_channel("alipay", is_on=True, actor=owner, now=shop.now)
    channel_settings.switch_channel("wechat_pay", store_id=shop.store.id, **mine)
    assert [row.store_id for row in db.session.query(ChannelExclusion)] == [shop.store.id]
    (told,) = [each for each in channel_settings.list_channels(actor=manager) if each["name"] == "wechat_pay"]
    assert (told["is_on"], told["off_in"]) == (True, [db.session.get_one(Store, shop.store.id).name])


# Credentials


@pytest.mark.parametrize(
    ("name", "form"), [("wechat_pay", wechat), ("alipay", alipay), ("unionpay", unionpay)]
)
def test_secrets_are_encrypted_and_never_shown_again(
    owner: Actor, now: datetime, name: str, form: Any, caplog: pytest.LogCaptureFixture
) -> None:
    channel_settings.set_credentials(name, form(), actor=owner, now=now)

    stored = str(db.session.execute(text("SELECT secrets, marks FROM channel_credentials")).one())
    told = repr(channel_settings.describe_channel(name, actor=owner)["fields"])
    logged = repr([(entry.before, entry.after) for entry in audit()])
    values = [form()[field] for field in channels.SECRETS[name]]
    for secret in values:
        line = secret.splitlines()[1] if "\n" in secret else secret
        assert line not in stored and line not in told and line not in logged and line not in caplog.text
    assert "PRIVATE KEY" not in told + logged
    (entry,) = audit()
    assert (entry.action, entry.entity_id, entry.actor_name) == ("channel.set_credentials", name, "周老板")
    assert set(entry.after or {}) == set(form())


def test_changed_credentials_count_at_once(owner: Actor, now: datetime) -> None:
    channel_settings.set_credentials("alipay", alipay(), actor=owner, now=now)
    before = channels.alipay()
    assert channels.alipay() is before

    changed = alipay(app_private_key=keys.private_pem(OTHER_KEY))
    channel_settings.set_credentials("alipay", changed, actor=owner, now=now)

    assert channels.alipay() is not before
    fields = {
        each["field"].name: each
        for each in channel_settings.describe_channel("alipay", actor=owner)["fields"]
    }
    assert fields["app_private_key"]["shown"] == keys.fingerprint(OTHER_KEY)
    assert (fields["app_private_key"]["at"], fields["app_private_key"]["by"]) == (now, "周老板")


def test_the_same_again_changes_nothing(owner: Actor, now: datetime) -> None:
    channel_settings.set_credentials("alipay", alipay(), actor=owner, now=now)
    with unchanged():
        channel_settings.set_credentials("alipay", alipay(app_private_key=""), actor=owner, now=now)


def test_who_may_set(shop: Shop, owner: Actor) -> None:
    manager = shop.cashier()
    with refused("forbidden"):
        channel_settings.set_credentials("alipay", alipay(), actor=manager, now=shop.now)
    with refused("forbidden"):
        channel_settings.try_channel("wechat_pay", actor=manager, now=shop.now)
    with refused("not_found"):
        channel_settings.set_credentials("counter_cash", {}, actor=owner, now=shop.now)
    with refused("invalid_field"):
        channel_settings.set_credentials("alipay", alipay(app_id="1"), actor=owner, now=shop.now)


def test_keys_are_rotated_without_losing_credentials(owner: Actor, now: datetime) -> None:
    from app.extensions import keyring

    channel_settings.set_credentials("alipay", alipay(), actor=owner, now=now)
    kept = keyring._fernet
    try:
        keyring._fernet = type(kept)([*_fernets("new"), *kept._fernets])  # type: ignore[union-attr, misc]
        db.session.expire_all()
        assert channels.alipay()
    finally:
        keyring._fernet = kept


def _fernets(secret: str) -> list[Any]:
    from cryptography.fernet import Fernet

    from app.extensions import Keyring

    return [Fernet(Keyring._derive(secret))]


# The sandbox


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    live = start_live(tmp_path_factory.mktemp("sandbox"))
    yield live
    live.stop()


@pytest.fixture
def live(app: Any, running_sandbox: Live, tmp_path: Path) -> Iterator[Live]:
    before, url = gateways._configured.settings, running_sandbox.url
    assert before is not None
    gateways.configure(
        gateways.GatewaySettings(
            url, url, 5, tmp_path, is_production=False, alipay_url=f"{url}/gateway.do", unionpay_url=url
        )
    )
    yield running_sandbox
    gateways.configure(before)


@pytest.fixture
def real_now() -> datetime:
    """The sandbox's certificates live by the real clock."""
    return utc_now()


def typed(live: Live, name: str, **changes: str) -> dict[str, str]:
    """What somebody copies from the sandbox's console into the form."""
    return dict(live.credentials[name]) | changes


@pytest.mark.parametrize("name", ["wechat_pay", "alipay", "unionpay"])
def test_credentials_of_the_sandbox_pass_the_test(
    live: Live, owner: Actor, real_now: datetime, name: str
) -> None:
    channel_settings.set_credentials(name, typed(live, name), actor=owner, now=real_now)

    assert channel_settings.try_channel(name, actor=owner, now=real_now) == {"code": "ok", "detail": ""}

    check = channel_settings.describe_channel(name, actor=owner)["check"]
    assert (check["code"], check["at"], check["by"]) == ("ok", real_now, "周老板")
    assert audit()[-1].after == {"result": "ok"}


FOREIGN = keys.private_pem(new_key())
FOREIGN_PUBLIC = keys.public_pem(new_key().public_key())
FAILED = [
    pytest.param("wechat_pay", {"merchant_private_key": FOREIGN}, "signature", id="wechat: private key"),
    pytest.param("wechat_pay", {"merchant_serial_no": "A" * 40}, "signature", id="wechat: serial number"),
    pytest.param("alipay", {"app_private_key": FOREIGN}, "signature", id="alipay: private key"),
    pytest.param("alipay", {"app_id": "2021999999999999"}, "identity", id="alipay: app"),
    pytest.param("alipay", {"alipay_public_key": FOREIGN_PUBLIC}, "unverified", id="alipay: public key"),
    pytest.param("unionpay", {"signing_pfx": "", "pfx_password": ""}, "signature", id="unionpay: key"),
    pytest.param("unionpay", {"signer_name": "somebody"}, "unverified", id="unionpay: signer"),
]


@pytest.mark.parametrize(("name", "changes", "code"), FAILED)
def test_wrong_credentials_are_told_in_words(
    live: Live, owner: Actor, real_now: datetime, name: str, changes: dict[str, str], code: str
) -> None:
    if "signing_pfx" in changes:
        changes = {"signing_pfx": pfx(days=36500), "pfx_password": PASSWORD}
    channel_settings.set_credentials(name, typed(live, name, **changes), actor=owner, now=real_now)

    assert channel_settings.try_channel(name, actor=owner, now=real_now)["code"] == code

    # New credentials have not been tested.
    channel_settings.set_credentials(name, typed(live, name), actor=owner, now=real_now)
    assert channel_settings.describe_channel(name, actor=owner)["check"] is None


def test_silence_is_told_as_such(live: Live, owner: Actor, real_now: datetime, tmp_path: Path) -> None:
    channel_settings.set_credentials("alipay", typed(live, "alipay"), actor=owner, now=real_now)
    nowhere = "http://127.0.0.1:9"
    gateways.configure(
        gateways.GatewaySettings(
            nowhere, nowhere, 1, tmp_path, is_production=False, alipay_url=f"{nowhere}/gateway.do"
        )
    )
    assert channel_settings.try_channel("alipay", actor=owner, now=real_now)["code"] == "no_answer"


def test_sandbox_file_leaves_what_somebody_set(live: Live, owner: Actor, real_now: datetime) -> None:
    path = live.sandbox.settings.data_dir / "credentials.json"
    channels.register_sandbox_credentials(path, now=real_now)
    mine = typed(live, "alipay", app_id="2021999999999999")
    channel_settings.set_credentials("alipay", mine, actor=owner, now=real_now)

    channels.register_sandbox_credentials(path, now=real_now)

    assert channels.alipay_app_id() == "2021999999999999"
    # A command that somebody types takes over again.
    channels.register_credentials(path, now=real_now)
    assert channels.alipay_app_id() == json.loads(path.read_text())["alipay"]["app_id"]
    assert {row.channel for row in db.session.query(ChannelCredential) if row.set_at} == set()
