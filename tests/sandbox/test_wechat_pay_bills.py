"""Daily bills of the simulated WeChat Pay, as the real client library fetches them."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import date, timedelta
from typing import Any

import pytest

from sandbox.clock import CHINA
from tests.sandbox.shop import Shop

DAY = timedelta(days=1)


def today(shop: Shop) -> date:
    return shop.live.clock().astimezone(CHINA).date()


def ask(shop: Shop, day: date | str | None = None, **options: Any) -> tuple[int, Any]:
    """Ask for the bill of a day, by default of the day of the shop's payment."""
    status, text = shop.pay.trade_bill(str(day or paid_on(shop)), **options)
    return status, json.loads(text)


def paid_on(shop: Shop) -> str:
    return str(shop.query()[1].get("success_time", today(shop)))[:10]


def fetch(shop: Shop, told: dict[str, Any]) -> list[str]:
    """Return the lines of the bill behind the address that was told."""
    status, content = shop.pay.download_bill(told["download_url"])
    assert status == 200
    text = gzip.decompress(content)
    assert (told["hash_type"], told["hash_value"]) == ("SHA1", hashlib.sha1(text).hexdigest())
    return text.decode().split("\r\n")


def test_a_bill_has_a_row_for_each_payment_and_refund(shop: Shop) -> None:
    paid = shop.paid()
    shop.refund(fen=6405)
    shop.live.control("/refunds/wechat/R20260101/succeed")
    shop.prepay("P20260102")

    header, payment, refund, sums_header, sums, end = fetch(shop, ask(shop)[1])

    assert (header.count(","), header.startswith("交易时间,")) == (26, True)
    values = payment[1:].split(",`")
    assert (values[2], values[5], values[6]) == (paid["mchid"], paid["transaction_id"], "P20260101")
    assert (values[9], values[12], values[22], values[24]) == ("SUCCESS", "128.00", "0.77000", "128.00")
    values = refund[1:].split(",`")
    assert (values[9], values[15], values[19], values[25]) == ("REFUND", "R20260101", "SUCCESS", "64.05")
    assert values[22] == "-0.38000"
    assert sums_header.startswith("总交易单数,")
    assert sums == "`2,`128.00,`64.05,`0.00,`0.39000,`128.00,`64.05"
    assert end == ""


def test_adopted_payments_bring_their_refunds(shop: Shop) -> None:
    paid_at = shop.live.clock() - 2 * DAY
    refund = {"out_refund_no": "R1", "amount_fen": 300, "finished_at": (paid_at + DAY).isoformat()}
    entry = {"out_trade_no": "P20260107", "transaction_id": "42000", "total_fen": 1000, "refunded_fen": 500}
    entry |= {"paid_at": paid_at.isoformat(), "refunds": [refund]}  # type: ignore[dict-item]
    shop.live.control("/payments/wechat/adopt", {"payments": [entry]})
    first, second = (str((paid_at + days * DAY).astimezone(CHINA).date()) for days in (0, 1))

    assert "`P20260107" in fetch(shop, ask(shop, first)[1])[1]
    assert "`R1," in fetch(shop, ask(shop, second)[1])[1]
    # What had gone back before, and the refund that is known, are gone for good.
    changes = {"out_trade_no": "P20260107", "amount": {"refund": 501, "total": 1000, "currency": "CNY"}}
    assert shop.refund("R2", **changes)[1]["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("options", "rows"),
    [({"bill_type": "SUCCESS"}, 1), ({"bill_type": "REFUND"}, 1), ({"bill_type": "ALL"}, 2)],
)
def test_kinds_of_bills(shop: Shop, options: dict[str, str], rows: int) -> None:
    shop.paid()
    shop.refund()
    shop.live.control("/refunds/wechat/R20260101/succeed")

    assert len(fetch(shop, ask(shop, **options)[1])) == rows + 4


@pytest.mark.parametrize(
    ("days", "code"),
    [
        pytest.param(0, "NO_STATEMENT_EXIST", id="day without trades"),
        pytest.param(1, "INVALID_REQUEST", id="tomorrow"),
        pytest.param(-93, "INVALID_REQUEST", id="long ago"),
    ],
)
def test_days_without_a_bill(shop: Shop, days: int, code: str) -> None:
    status, told = ask(shop, today(shop) + days * DAY)
    assert (status, told["code"]) == (400, code)


@pytest.mark.parametrize(
    ("day", "options"),
    [("yesterday", {}), ("2026-02-30", {}), (None, {"bill_type": "X"}), (None, {"tar_type": "ZIP"})],
)
def test_senseless_questions_are_refused(shop: Shop, day: str | None, options: dict[str, str]) -> None:
    status, told = ask(shop, day, **options)
    assert (status, told["code"]) == (400, "PARAM_ERROR")


def test_a_bill_can_be_late(shop: Shop) -> None:
    shop.paid()
    shop.live.control("/settings", {"bill_delay_hours": 72})
    late = ask(shop)[1]
    shop.live.control("/settings", {"bill_delay_hours": 0})

    assert late["code"] == "STATEMENT_CREATING"
    assert ask(shop)[0] == 200


def test_an_address_is_good_for_minutes_and_wants_a_signature(shop: Shop) -> None:
    shop.paid()
    told = ask(shop)[1]
    path = told["download_url"].removeprefix(shop.live.url)
    assert shop.live.get(path).status_code == 401
    shop.live.clock.offset = timedelta(seconds=299)
    assert fetch(shop, told)
    shop.live.clock.offset = timedelta(seconds=300)
    assert shop.pay.download_bill(told["download_url"])[0] in (400, 401)
