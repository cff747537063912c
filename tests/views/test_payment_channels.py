"""Payment channels as pages: who sees what, forms that never repeat a secret, switches in own stores."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.domain import merchant_keys as keys
from app.domain.states import ShippingStatus
from app.extensions import db
from app.gateways.ports import GatewayRefused
from app.models import AuditEntry, ChannelCredential, ChannelExclusion, Refund, ShippingReport, Store
from app.services import cancellations, refunds
from tests.services.counter import unchanged
from tests.services.merchant import API_V3_KEY, KEY, PASSWORD, alipay, unionpay, wechat
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import JSON, Visitor, main_of

SECRET_LINE = keys.private_pem(KEY).splitlines()[3]


@pytest.fixture
def owner(log_in: LogIn) -> Visitor:
    return log_in("Owner")


def save(client: Visitor, name: str, values: dict[str, Any], **options: Any) -> TestResponse:
    return client.post(f"/payment-channels/{name}/credentials", data=values, **options)


def test_owner_sees_every_channel(owner: Visitor) -> None:
    page = main_of(owner.get("/payment-channels/"))
    for label in ("微信支付", "支付宝", "银联", "现金"):
        assert label in page


def test_secrets_go_in_and_never_come_back(owner: Visitor, shop: Shop) -> None:
    answer = save(owner, "wechat_pay", wechat(), follow_redirects=True)
    assert answer.status_code == 200
    (row,) = [row for row in shop.rows(ChannelCredential) if row.channel == "wechat_pay"]
    assert row.secrets["api_v3_key"] == API_V3_KEY

    pages = [owner.get(path) for path in ("/payment-channels/", "/payment-channels/wechat_pay")]
    pages += [answer, owner.get("/audit/list/"), owner.get(f"/audit/show/{shop.rows(AuditEntry)[-1].id}")]
    for page in pages:
        told = page.get_data(as_text=True)
        assert API_V3_KEY not in told and SECRET_LINE not in told and "PRIVATE KEY" not in told
    # What may be known is there: the merchant, and by what a key is recognised.
    told = owner.get("/payment-channels/wechat_pay").get_data(as_text=True)
    assert "1900000001" in told and keys.fingerprint(KEY) in told


def test_mistakes_come_back_without_secrets_and_change_nothing(owner: Visitor) -> None:
    with unchanged():
        answer = save(owner, "wechat_pay", wechat(mchid="19", merchant_certificate=""))
    told = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'value="19"' in told and 'aria-invalid="true"' in told
    assert API_V3_KEY not in told and SECRET_LINE not in told


def test_file_is_uploaded(owner: Visitor, shop: Shop) -> None:
    content = base64.b64decode(unionpay()["signing_pfx"])
    values = unionpay(signing_pfx=(io.BytesIO(content), "shop.pfx"))
    answer = save(owner, "unionpay", values, content_type="multipart/form-data")
    assert (answer.status_code, answer.location) == (302, "/payment-channels/unionpay")
    assert PASSWORD not in owner.get("/payment-channels/unionpay").get_data(as_text=True)

    with unchanged():
        giant = unionpay(signing_pfx=(io.BytesIO(b"x" * 60000), "shop.pfx"))
        assert save(owner, "unionpay", giant, content_type="multipart/form-data").status_code == 422


def test_manager_switches_in_the_own_store_only(shop: Shop, log_in: LogIn, other_store: Store) -> None:
    manager, mine = log_in("Manager"), {"store_id": shop.store.id, "is_on": ""}
    page = manager.get("/payment-channels/wechat_pay").get_data(as_text=True)
    assert shop.store.name in page and other_store.name not in page
    # Credentials are the owner's alone, and so is everywhere.
    assert "credential-" not in page and "1900000001" not in page

    assert manager.post("/payment-channels/wechat_pay/switch", data=mine).status_code == 302
    assert [row.store_id for row in shop.rows(ChannelExclusion)] == [shop.store.id]
    with unchanged():
        elsewhere = mine | {"store_id": other_store.id}
        assert manager.post("/payment-channels/wechat_pay/switch", data=elsewhere).status_code == 404
        assert manager.post("/payment-channels/wechat_pay/switch", data={"is_on": ""}).status_code == 403
        for path in ("credentials", "test"):
            answer = manager.post(f"/payment-channels/wechat_pay/{path}", data=wechat())
            assert answer.status_code in (302, 403)


@pytest.mark.parametrize("role", ["Cashier", "Service", "Analyst"])
def test_others_see_none_of_it(log_in: LogIn, role: str) -> None:
    client = log_in(role)
    answer = client.get("/payment-channels/", follow_redirects=False)
    assert answer.status_code in (302, 403)
    with unchanged():
        client.post("/payment-channels/wechat_pay/switch", data={"is_on": ""})


HOSTILE = [
    ("/payment-channels/paypal", {}, 404),
    ("/payment-channels/wechat_pay/switch", {"store_id": "x", "is_on": ""}, 302),
    ("/payment-channels/wechat_pay/switch", {"store_id": "9" * 30, "is_on": ""}, 302),
    ("/payment-channels/paypal/switch", {"is_on": ""}, 404),
    ("/payment-channels/counter_cash/credentials", alipay(), 404),
    ("/payment-channels/alipay/test", {}, 404),
]


@pytest.mark.parametrize(("path", "values", "status"), HOSTILE)
def test_hostile_input_changes_nothing(
    owner: Visitor, path: str, values: dict[str, Any], status: int
) -> None:
    with unchanged():
        answer = owner.post(path, data=values) if values or "/test" in path else owner.get(path)
    assert answer.status_code == status


def test_result_of_a_test_is_shown_in_words(owner: Visitor, shop: Shop) -> None:
    shop.pay_service.refusal = GatewayRefused("SIGN_ERROR", "签名错误")
    page = owner.post("/payment-channels/wechat_pay/test", follow_redirects=True)
    told = main_of(page)
    assert page.status_code == 200 and "SIGN_ERROR" in told
    shop.pay_service.refusal = None
    told = main_of(owner.post("/payment-channels/wechat_pay/test", follow_redirects=True))
    assert "SIGN_ERROR" not in told


def test_till_hides_what_is_off(owner: Visitor, log_in: LogIn, shop: Shop) -> None:
    no, cashier = shop.book(), log_in("Cashier")
    cashier.post("/shifts/open", data={"store_id": shop.store.id, "float": "0"})
    values = {"store_id": shop.store.id, "is_on": ""}
    assert 'value="counter_cash"' in cashier.get(f"/orders/{no}").get_data(as_text=True)
    for name in ("counter_cash", "counter_pos"):
        owner.post(f"/payment-channels/{name}/switch", data=values)
    told = cashier.get(f"/orders/{no}").get_data(as_text=True)
    assert 'value="counter_cash"' not in told and 'value="counter_pos"' not in told


@pytest.fixture
def stuck(shop: Shop) -> str:
    """The number of a refund that the service could not carry out."""
    no = shop.paid_booking()
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refunds.send_refund(shop.rows(Refund)[0].id, now=shop.now)
    number: str = shop.rows(Refund)[0].refund_no
    shop.pay_service.settle_refund(number, "abnormal")
    refunds.apply_facts(shop.pay_service.refunds[number], now=shop.now)
    return number


def test_stuck_refund_is_settled_on_its_order(shop: Shop, log_in: LogIn, stuck: str) -> None:
    manager, no = log_in("Manager"), shop.order(shop.rows(Refund)[0].order.no).no
    assert f"/orders/{no}" in manager.get("/").get_data(as_text=True)
    assert f"/refunds/{stuck}/hand-back" in manager.get(f"/orders/{no}").get_data(as_text=True)
    values = {"means": "transfer", "reference_no": "T1", "reason": "销户", "next": f"/orders/{no}"}
    cashier = log_in("Cashier")
    page = cashier.get(f"/orders/{no}").get_data(as_text=True)
    assert "/hand-back" not in page
    cashier.post(f"/refunds/{stuck}/hand-back", data=values)
    assert shop.rows(Refund)[0].route == "original"

    refused = manager.post(f"/refunds/{stuck}/hand-back", json=values | {"reference_no": ""}, headers=JSON)
    assert (refused.status_code, refused.json["code"]) == (422, "invalid_field")
    done = manager.post(f"/refunds/{stuck}/hand-back", data=values)
    assert (done.status_code, done.location) == (302, f"/orders/{no}")
    assert (shop.rows(Refund)[0].route, shop.rows(Refund)[0].status) == ("transfer", "succeeded")
    assert manager.post("/refunds/R000/retry", data={}).status_code == 404


def test_report_that_was_given_up_is_sent_again(shop: Shop, log_in: LogIn) -> None:
    shop.paid_booking()
    (report,) = shop.rows(ShippingReport)
    report.status, report.next_attempt_at = ShippingStatus.DEAD, None
    db.session.commit()
    manager = log_in("Manager")
    assert "/shipping-reports/list/" in manager.get("/").get_data(as_text=True)

    answer = manager.post(f"/shipping-reports/action/resend/{report.id}")

    assert answer.status_code == 302
    (report,) = shop.rows(ShippingReport)
    assert (report.status, report.next_attempt_at) == (ShippingStatus.WAITING, shop.now)
    analyst = log_in("Analyst")
    with unchanged():
        analyst.post(f"/shipping-reports/action/resend/{report.id}")
