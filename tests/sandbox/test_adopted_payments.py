"""Payments that were made elsewhere: taken over, queried and refunded like those of the sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.sandbox.live import OPENID, Live
from tests.sandbox.shop import Shop

NUMBER, TRANSACTION = "P20260101", "4200020260101000000000000001"
ADOPT = "/payments/wechat/adopt"


def payment(live: Live, **changes: Any) -> dict[str, Any]:
    """Return an ordinary payment of yesterday, without the fields that are changed to None."""
    entry = {
        "out_trade_no": NUMBER,
        "transaction_id": TRANSACTION,
        "total_fen": 12800,
        "paid_at": (live.clock() - timedelta(days=1)).isoformat(),
    } | changes
    return {name: value for name, value in entry.items() if value is not None}


def adopt(live: Live, *payments: dict[str, Any]) -> Any:
    return live.control(ADOPT, {"payments": list(payments)})


def test_adopted_payment_is_found_as_paid_by_either_number(shop: Shop) -> None:
    entry = payment(shop.live, openid=OPENID)

    assert adopt(shop.live, entry) == {"adopted": 1}

    status, shown = shop.query()
    assert (status, shown["trade_state"], shown["amount"]["total"]) == (200, "SUCCESS", 12800)
    assert (shown["transaction_id"], shown["payer"]["openid"]) == (TRANSACTION, OPENID)
    assert shown["mchid"] == shop.live.credentials["wechat_pay"]["mchid"]
    assert shop.pay.query(transaction_id=TRANSACTION)[0] == 200
    assert shop.prepay()[1]["code"] == "ORDERPAID"


def test_adopted_payment_is_refunded_with_a_callback(shop: Shop) -> None:
    adopt(shop.live, payment(shop.live))

    assert shop.refund(fen=12800)[1]["status"] == "PROCESSING"
    assert shop.live.control("/refunds/wechat/R20260101/succeed")["delivered"] is True

    # The first callback of all: nothing was sent about the payment.
    (callback,) = shop.merchant.wait_for(1)
    assert callback.path == "/notify/refund"
    resource = shop.opened(callback)["resource"]
    assert (resource["out_trade_no"], resource["transaction_id"]) == (NUMBER, TRANSACTION)
    assert (resource["refund_status"], resource["amount"]["refund"]) == ("SUCCESS", 12800)
    assert shop.query()[1]["trade_state"] == "REFUND"


def test_what_went_back_before_is_not_refunded_again(shop: Shop) -> None:
    adopt(shop.live, payment(shop.live, refunded_fen=8000))

    assert shop.query()[1]["trade_state"] == "REFUND"
    assert shop.refund("R1", fen=4801)[0] == 400
    assert shop.refund("R2", fen=4800)[0] == 200
    assert shop.refund("R3", fen=1)[0] == 400


def test_known_numbers_are_left_alone(shop: Shop) -> None:
    paid = shop.paid()
    other = payment(shop.live, out_trade_no="P20260102")

    assert adopt(shop.live, payment(shop.live, total_fen=1), other, other) == {"adopted": 1}
    assert adopt(shop.live, other | {"total_fen": 1}) == {"adopted": 0}

    assert shop.query()[1] == paid
    assert shop.query("P20260102")[1]["amount"]["total"] == 12800


def test_control_sends_nothing_about_an_adopted_payment(shop: Shop) -> None:
    adopt(shop.live, payment(shop.live))
    shown = shop.live.shown("payments", NUMBER)

    for verb in ("succeed", "probe"):
        outcome = shop.live.control(f"/payments/wechat/{NUMBER}/{verb}")
        assert (outcome["delivered"], outcome["fate"]) == (False, "not_sent")

    assert shop.live.shown("payments", NUMBER) == shown
    assert shown["callback"] is None
    assert NUMBER in shop.live.get("/").text


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        pytest.param("out_trade_no", {"out_trade_no": None}, id="no number"),
        pytest.param("out_trade_no", {"out_trade_no": "P 1"}, id="odd number"),
        pytest.param("transaction_id", {"transaction_id": None}, id="no transaction"),
        pytest.param("transaction_id", {"transaction_id": "42x"}, id="odd transaction"),
        pytest.param("transaction_id", {"out_trade_no": "P20260109"}, id="transaction of another"),
        pytest.param("total_fen", {"total_fen": 0}, id="no money"),
        pytest.param("total_fen", {"total_fen": "12800"}, id="money as text"),
        pytest.param("refunded_fen", {"refunded_fen": 12801}, id="more back than paid"),
        pytest.param("refunded_fen", {"refunded_fen": -1}, id="less than nothing back"),
        pytest.param("openid", {"openid": "o alice"}, id="odd openid"),
        pytest.param("paid_at", {"paid_at": None}, id="no time"),
        pytest.param("paid_at", {"paid_at": "2026-01-01T12:00:00"}, id="time without a zone"),
        pytest.param("paid_at", {"paid_at": "9999-12-31T23:59:59-14:00"}, id="time to come"),
        pytest.param("paid_at", {"paid_at": "0001-01-01T00:00:00+14:00"}, id="time before there was any"),
    ],
)
def test_one_wrong_payment_refuses_all(live: Live, field: str, changes: dict[str, Any]) -> None:
    good = payment(live)
    bad = payment(live, **({"out_trade_no": "P20260102", "transaction_id": "42"} | changes))
    if "out_trade_no" in changes and field == "transaction_id":
        bad["transaction_id"] = TRANSACTION

    response = live.post("/_control" + ADOPT, {"payments": [good, bad]})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_field")
    assert list(response.json()["errors"]) == [f"payments/1/{field}"]
    assert live.sandbox.store.count("payment") == live.sandbox.store.count("transaction") == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({}, 422, id="nothing"),
        pytest.param({"payments": []}, 422, id="no payments"),
        pytest.param({"payments": {}}, 422, id="no list"),
        pytest.param({"payments": ["P20260101"]}, 422, id="no objects"),
        pytest.param({"payments": [None]}, 422, id="null"),
        pytest.param({"payments": [{}] * 1001}, 422, id="too many"),
        pytest.param([], 400, id="no object"),
    ],
)
def test_bodies_that_are_refused(live: Live, body: object, status: int) -> None:
    assert live.post("/_control" + ADOPT, body).status_code == status
    assert live.sandbox.store.count("payment") == 0


def test_unknown_channel_is_refused(live: Live) -> None:
    response = live.post("/_control/payments/paypal/adopt", {"payments": [payment(live)]})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_field")
    assert live.sandbox.store.count("payment") == 0
