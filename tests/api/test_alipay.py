"""Alipay over the interface: logging in, paying, and answering notices with its own two words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import gateways
from app.domain.states import OrderStatus, PaymentStatus
from app.extensions import db
from app.models import ChannelCredential, CustomerIdentity, Order, Payment, PaymentCallback
from tests import factories
from tests.api.conftest import Headers, LogIn, Platform
from tests.api.contract import ContractClient
from tests.gateways.alipay_service import (
    APP_ID,
    PATH,
    SELLER_ID,
    credentials,
    form,
    notice,
    refusal,
    signed,
    success,
)
from tests.gateways.loopback import Loopback
from tests.services.counter import unchanged

START, END = "2026-03-04T18:00:00+08:00", "2026-03-04T20:00:00+08:00"
NOTIFY = "/api/v1/payments/alipay/notify"
REFUNDS = "/api/v1/refunds/alipay/notify"
CODE = "https://qr.alipay.com/bax03431ljhokirwl38f00a7"


@pytest.fixture
def service(app: Flask, tmp_path: Path, now: datetime, platform: Platform) -> Iterator[Loopback]:
    """A loopback that answers as Alipay, and Alipay set up with its keys."""
    keys = credentials()
    db.session.add(
        ChannelCredential(
            channel="alipay",
            settings={
                "app_id": APP_ID,
                "seller_id": SELLER_ID,
                "alipay_public_key": keys.alipay_public_key,
            },
            secrets={"app_private_key": keys.app_private_key},
            created_at=now,
        )
    )
    db.session.commit()
    before = gateways._configured.settings
    assert before is not None
    loopback = Loopback()
    url = loopback.url
    gateways.configure(
        gateways.GatewaySettings(url, url, 5, tmp_path, is_production=False, alipay_url=url + PATH)
    )
    yield loopback
    gateways.configure(before)
    loopback.close()


@pytest.fixture
def order(api: ContractClient, log_in: LogIn, service: Loopback) -> tuple[str, Headers]:
    """The number of a booking that owes ¥120, and who owes it."""
    headers = log_in()
    body = {"room_id": str(factories.make_room().id), "start_at": START, "end_at": END}
    return api.post("/api/v1/bookings", json=body, headers=headers).json["no"], headers


def pay(api: ContractClient, service: Loopback, order: tuple[str, Headers], channel: str) -> str:
    """Begin to pay and return the payment's number."""
    no, headers = order
    # Which number it will be is not known before it is asked for, so the answer is made from the request.
    service.on(PATH, success("precreate"))
    service.finish = lambda _: success(
        "precreate", out_trade_no=_wanted(service.requests[-1].query["biz_content"]), qr_code=CODE
    )
    answer = api.post(f"/api/v1/orders/{no}/payments", json={"channel": channel}, headers=headers)
    assert (answer.status_code, answer.json["channel"]) == (201, channel)
    assert answer.json["params"]["code_url"] == CODE
    return str(answer.json["payment_no"])


def _wanted(content: str) -> str:
    return str(json.loads(content)["out_trade_no"])


def told(payment_no: str, now: datetime, **changes: Any) -> dict[str, str]:
    """The fields of a genuine notice about a payment of ¥120 that is sent now."""
    stamp = (now + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
    facts = {"out_trade_no": payment_no, "total_amount": "120.00", "notify_time": stamp, "gmt_payment": stamp}
    return notice(**facts | changes)


@pytest.mark.parametrize("channel", ["alipay", "alipay_qr"])
def test_order_is_paid_by_a_notice(
    api: ContractClient,
    service: Loopback,
    order: tuple[str, Headers],
    now: datetime,
    channel: str,
) -> None:
    no, headers = order
    payment_no = pay(api, service, order, channel)
    body = form(told(payment_no, now))

    answers = [api.post(NOTIFY, data=body) for _ in range(3)]

    assert [(answer.status_code, answer.data) for answer in answers] == [(200, b"success")] * 3
    assert answers[0].mimetype == "text/plain"
    shown = api.get(f"/api/v1/orders/{no}", headers=headers).json
    assert (shown["status"], shown["paid_fen"]) == ("awaiting_use", 12000)
    assert [payment["channel"] for payment in shown["payments"]] == [channel]
    assert db.session.query(PaymentCallback).count() == 1


def test_notices_that_are_refused_get_the_other_word(
    api: ContractClient, service: Loopback, order: tuple[str, Headers], now: datetime
) -> None:
    payment_no = pay(api, service, order, "alipay_qr")
    genuine = form(told(payment_no, now))
    asked = len(service.requests)
    hostile = [
        b"",
        b"\xff\xfe\x00",
        b"{}",
        b"a" * 70_000,
        "a=中文".encode("gbk"),
        genuine.replace(b"120.00", b"119.99"),
        genuine.replace(b"120.00", b"120.01"),
        form(told(payment_no, now), owner="stranger"),
        form(told(payment_no, now, total_amount="119.99")),
        form(told(payment_no, now, total_amount="120.01")),
        form(told(payment_no, now, trans_currency="USD")),
        form(told("P20260304000000", now)),
        form(told(payment_no, now, app_id="2021000000000009")),
        form(told(payment_no, now, seller_id="2088000000000009")),
        form(told(payment_no, now - timedelta(minutes=5))),
        form(told(payment_no, now + timedelta(minutes=5))),
    ]
    with unchanged():
        for body in hostile:
            for path in (NOTIFY, REFUNDS):
                answer = api.post(path, data=body)
                assert (answer.status_code, answer.data) == (400, b"fail"), body[:80]
        assert api.post(NOTIFY, data=b"a=" + b"b" * 3_000_000).status_code == 413
        refused = api.post(REFUNDS, data=genuine)
        assert (refused.status_code, refused.data) == (400, b"fail")
    assert len(service.requests) == asked
    assert api.get(NOTIFY).status_code == 405

    assert api.post(NOTIFY, data=genuine).data == b"success"


def test_what_is_under_way_is_settled_while_the_service_is_switched_off(
    api: ContractClient, service: Loopback, order: tuple[str, Headers], now: datetime
) -> None:
    payment_no = pay(api, service, order, "alipay_qr")
    row = db.session.query(ChannelCredential).filter_by(channel="alipay").one()
    row.is_enabled = False
    db.session.commit()

    no, headers = order
    refused = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "alipay"}, headers=headers)
    assert (refused.status_code, refused.json["code"]) == (422, "channel_off")
    assert api.post(NOTIFY, data=form(told(payment_no, now))).data == b"success"
    assert db.session.query(Order).one().status is OrderStatus.AWAITING_USE


def test_gateway_that_refuses_leaves_nothing_to_pay(
    api: ContractClient, service: Loopback, order: tuple[str, Headers]
) -> None:
    no, headers = order
    service.on(PATH, refusal("precreate", "ACQ.ACCESS_FORBIDDEN"), refusal("query", "ACQ.TRADE_NOT_EXIST"))

    answer = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "alipay_qr"}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert "ACCESS_FORBIDDEN" not in answer.get_data(as_text=True)
    assert db.session.query(Payment).one().status is PaymentStatus.FAILED


def test_login_with_a_code_of_alipay(api: ContractClient, service: Loopback) -> None:
    service.on(
        PATH,
        signed("login", {"user_id": "2088102169481075"}),
        refusal("error_response", "isv.code-invalid", "40002"),
        refusal("login", "isp.unknow-error", "20000"),
    )

    answer = api.post("/api/v1/auth/login", json={"channel": "alipay", "code": "4b203fe6c11548bc"})

    assert answer.status_code == 200
    me = api.get("/api/v1/me", headers={"Authorization": f"Bearer {answer.json['access_token']}"})
    assert me.json["id"] == answer.json["customer"]["id"]
    identity = db.session.query(CustomerIdentity).one()
    assert (identity.channel, identity.subject) == ("alipay", "2088102169481075")
    spent = api.post("/api/v1/auth/login", json={"channel": "alipay", "code": "4b203fe6c11548bc"})
    assert (spent.status_code, list(spent.json["errors"])) == (422, ["code"])
    silent = api.post("/api/v1/auth/login", json={"channel": "alipay", "code": "4b203fe6c11548bc"})
    assert (silent.status_code, silent.json["code"]) == (503, "unavailable")
