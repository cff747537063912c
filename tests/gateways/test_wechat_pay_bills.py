"""Bills of WeChat Pay: back-ticks, yuan, packed and hashed; what is not exactly that is not used."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.gateways import wechat_pay_bills
from app.gateways.bill_checks import checked
from app.gateways.ports import (
    BillEntry,
    BillNotReady,
    BillUnusable,
    DailyBill,
    GatewayRefused,
    GatewayUnavailable,
)
from app.gateways.unreadable import FactsMalformed
from app.gateways.wechat_pay import WeChatPayChannel
from app.gateways.wechat_pay_bills import path_of_bill, unpacked
from tests.gateways.loopback import Answer, Loopback, json_answer
from tests.gateways.pay_service import check_request_signature, credentials, sign_success

DAY = date(2026, 3, 14)
PLAIN = re.compile(r"\d+(\.\d+)?", re.ASCII)
ASK, FILE = "/v3/bill/tradebill", "/v3/billdownload/file"
TRADE_NO = "4200001234202603140000000001"
HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
SUMS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"


def row(no: str = "P20260314000001", paid: str = "128.00", **changes: str) -> dict[str, str]:
    """A payment as the bill has it."""
    values = dict.fromkeys(HEADER.split(","), "")
    values |= {"交易时间": "2026-03-14 12:00:00", "公众账号ID": "wx0000000000000001", "商户号": "1900000001"}
    values |= {"微信订单号": TRADE_NO, "商户订单号": no, "交易类型": "JSAPI", "交易状态": "SUCCESS"}
    values |= {"货币种类": "CNY", "应结订单金额": paid, "代金券金额": "0.00", "退款金额": "0.00"}
    values |= {"商品名称": "雀坊, 望京店, 牡丹", "手续费": "0.77000", "费率": "0.60%"}
    return values | {"订单金额": paid, "申请退款金额": "0.00"} | changes


def refund(no: str = "R20260314000001", back: str = "64.05", **changes: str) -> dict[str, str]:
    """A refund as the bill has it."""
    money = {"应结订单金额": "0.00", "订单金额": "0.00", "退款金额": back, "申请退款金额": back}
    names = {"交易状态": "REFUND", "商户退款单号": no, "退款状态": "SUCCESS", "手续费": "-0.38000"}
    return row() | money | names | changes


def ticked(values: Any) -> str:
    return ",".join(f"`{value}" for value in values)


def bill(*rows: dict[str, str], header: str = HEADER, **sums: str) -> bytes:
    """A bill of these rows with the right sums, or with others."""

    def total(name: str) -> str:
        texts = (each[name] for each in rows)
        found = sum((Decimal(text) for text in texts if PLAIN.fullmatch(text)), Decimal(0))
        return str(found.quantize(Decimal("0.01")))

    told = {
        "总交易单数": str(len(rows)),
        "应结订单总金额": total("应结订单金额"),
        "退款总金额": total("退款金额"),
        "充值券退款总金额": "0.00",
        "手续费总金额": "0.77000",
        "订单总金额": total("订单金额"),
        "申请退款总金额": total("申请退款金额"),
    }
    lines = [header, *(ticked(each.values()) for each in rows), SUMS, ticked((told | sums).values())]
    return "".join(f"{line}\r\n" for line in lines).encode()


def read(content: bytes) -> tuple[BillEntry, ...]:
    return checked(lambda: wechat_pay_bills.read_bill(content, mchid="1900000001"), DAY)


AT = datetime(2026, 3, 14, 4, 0, tzinfo=UTC)
PAID = BillEntry("payment", "P20260314000001", None, TRADE_NO, 12800, 77, AT)
BACK = BillEntry("refund", "P20260314000001", "R20260314000001", TRADE_NO, 6405, -38, AT)


@pytest.mark.parametrize(
    ("content", "entries"),
    [
        pytest.param(bill(row(), refund()), (PAID, BACK), id="payment and refund"),
        pytest.param(b"\xef\xbb\xbf" + bill(row()), (PAID,), id="BOM"),
        pytest.param(bill(row()).replace(b"\r\n", b"\n"), (PAID,), id="plain line ends"),
        pytest.param(bill(row(paid="0.01")), (replace(PAID, amount_fen=1),), id="one fen"),
        pytest.param(bill(row(paid="128.0")), (PAID,), id="one decimal"),
        pytest.param(bill(row(paid="128")), (PAID,), id="whole yuan"),
        pytest.param(bill(row(商品名称="=cmd|' /C calc'!A0")), (PAID,), id="formula"),
        pytest.param(bill(row(商品名称='"牡丹", "包间')), (PAID,), id="quotes"),
        pytest.param(bill(row(手续费="0.76800")), (PAID,), id="fee in parts of a fen"),
        pytest.param(
            bill(refund(退款状态="PROCESSING")), (replace(BACK, status="processing"),), id="under way"
        ),
        pytest.param(bill(refund(退款状态="FAIL")), (replace(BACK, status="failed"),), id="failed refund"),
        pytest.param(
            bill(refund(交易状态="REVOKED", 商户退款单号="0")),
            (replace(BACK, refund_no=None),),
            id="taken back by a till",
        ),
    ],
)
def test_real_looking_bills_are_read(content: bytes, entries: tuple[BillEntry, ...]) -> None:
    assert read(content) == entries


def test_thousands_of_rows_are_read() -> None:
    rows = [row(f"P{number:014d}") for number in range(6000)]
    assert sum(entry.amount_fen for entry in read(bill(*rows))) == 6000 * 12800


GOOD = bill(row(), refund())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "malformed", id="nothing"),
        pytest.param("<html>请稍后</html>".encode(), "malformed", id="page"),
        pytest.param(GOOD[: len(GOOD) // 2], "malformed", id="cut in the middle"),
        pytest.param(b"".join(GOOD.splitlines(True)[:-1]), "malformed", id="without its sums"),
        pytest.param(GOOD.decode().encode("gbk"), "malformed", id="another encoding"),
        pytest.param(GOOD + GOOD, "malformed", id="twice in one file"),
        pytest.param(GOOD.replace(b"`", b""), "malformed", id="without back-ticks"),
        pytest.param(bill(row() | {"more": "x"}), "malformed", id="a value too many"),
        pytest.param(bill(row(商品名称="牡丹,`包间")), "malformed", id="back-tick in a name"),
        pytest.param(bill(row(), header=HEADER.replace("订单金额", "交易金额")), "malformed", id="columns"),
        pytest.param(bill(row(), header=f"{HEADER},{HEADER}"), "malformed", id="columns twice"),
        pytest.param(bill(row(paid="128.005")), "malformed", id="three decimals"),
        pytest.param(bill(row(paid="1e2")), "malformed", id="exponent"),
        pytest.param(bill(row(paid="-1.00")), "malformed", id="negative payment"),
        pytest.param(bill(row(paid="１２.00")), "malformed", id="wide digits"),
        pytest.param(bill(row(手续费="0.600000")), "malformed", id="fee of six decimals"),
        pytest.param(bill(row(货币种类="USD")), "malformed", id="foreign money"),
        pytest.param(bill(row(交易状态="HACKED")), "malformed", id="unknown state"),
        pytest.param(bill(refund(退款状态="?")), "malformed", id="unknown state of a refund"),
        pytest.param(bill(refund("")), "malformed", id="refund without a number"),
        pytest.param(bill(row("P1\n2")), "malformed", id="line break in a number"),
        pytest.param(bill(row(交易时间="2026-02-30 12:00:00")), "malformed", id="no such day"),
        pytest.param(bill(row(), 总交易单数="2"), "sums_mismatch", id="row missing"),
        pytest.param(bill(row(), 订单总金额="128.01"), "sums_mismatch", id="sum of payments"),
        pytest.param(bill(refund(), 申请退款总金额="0.00"), "sums_mismatch", id="sum of refunds"),
        pytest.param(bill(row(), row()), "repeated_row", id="payment twice"),
        pytest.param(bill(refund(), refund()), "repeated_row", id="refund twice"),
        pytest.param(bill(row(), row("P2026", 商户号="1900000002")), "other_merchant", id="other merchant"),
        pytest.param(bill(row(交易时间="2026-03-15 00:00:00")), "other_day", id="next day"),
    ],
)
def test_anything_else_is_not_used(content: bytes, reason: str) -> None:
    with pytest.raises(BillUnusable, match=f"^{reason}$"):
        read(content)


def sha1_of(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["packed", "plain"])
def test_the_hash_is_that_of_the_file_inside(pack: Callable[[bytes], bytes]) -> None:
    assert unpacked(pack(GOOD), sha1=sha1_of(GOOD).upper()) == GOOD
    with pytest.raises(BillUnusable, match="hash_mismatch"):
        unpacked(pack(GOOD), sha1=sha1_of(GOOD + b" "))


@pytest.mark.parametrize(
    "content",
    [gzip.compress(GOOD)[:-20], gzip.compress(GOOD)[:30], b"\x1f\x8bnonsense"],
    ids=["cut off", "cut short", "no archive"],
)
def test_damaged_archives_are_not_used(content: bytes) -> None:
    with pytest.raises(BillUnusable, match="malformed"):
        unpacked(content, sha1=sha1_of(GOOD))


def test_an_archive_that_unfolds_without_end_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wechat_pay_bills, "MOST_BYTES", 1000)
    with pytest.raises(BillUnusable, match="malformed"):
        unpacked(gzip.compress(b"0" * 100_000), sha1=sha1_of(b"0" * 100_000))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://127.0.0.1:8090/v3/billdownload/file?token=x", "/v3/billdownload/file?token=x"),
        ("https://api.mch.weixin.qq.com/v3/billdownload/file?token=x", "/v3/billdownload/file?token=x"),
        ("https://api2.mch.weixin.qq.com/v3/f", "/v3/f"),
        ("http://api.mch.weixin.qq.com/v3/f", None),
        ("https://api.mch.weixin.qq.com.evil.example/v3/f", None),
        ("http://127.0.0.1:8091/v3/f", None),
        ("http://127.0.0.1:8090/_control/state", None),
        ("file:///etc/passwd", None),
    ],
)
def test_files_come_from_the_service_itself(url: str, path: str | None) -> None:
    if path is not None:
        assert path_of_bill(url, "http://127.0.0.1:8090") == path
        return
    with pytest.raises(FactsMalformed):
        path_of_bill(url, "http://127.0.0.1:8090")


@pytest.fixture
def service(loopback: Loopback) -> Loopback:
    loopback.finish = sign_success
    return loopback


@pytest.fixture
def channel(service: Loopback) -> WeChatPayChannel:
    return WeChatPayChannel(credentials(), base_url=service.url, timeout_seconds=2)


def offer(service: Loopback, content: bytes, **changes: Any) -> None:
    """Let the service have this bill."""
    told = {
        "hash_type": "SHA1",
        "hash_value": sha1_of(content),
        "download_url": f"{service.url}{FILE}?token=6XIv5TUPto7pByrTQKhd6kwvyKLG2uY2",
    }
    service.on(ASK, json_answer(told | changes))
    service.on(FILE, Answer(200, gzip.compress(content), {"Content-Type": "application/octet-stream"}))


def test_a_bill_is_asked_for_fetched_signed_and_read(service: Loopback, channel: WeChatPayChannel) -> None:
    offer(service, GOOD)

    assert channel.download_bill(DAY) == DailyBill(GOOD, "csv", (PAID, BACK))

    asked, fetched = service.requests
    assert asked.query == {"bill_date": "2026-03-14", "bill_type": "ALL", "tar_type": "GZIP"}
    for request in (asked, fetched):
        check_request_signature(request)


REFUSALS: list[Any] = [
    pytest.param(400, "NO_STATEMENT_EXIST", None, id="day without trades"),
    pytest.param(400, "STATEMENT_CREATING", BillNotReady, id="not made yet"),
    pytest.param(400, "INVALID_REQUEST", GatewayRefused, id="too old"),
    pytest.param(500, "SYSTEM_ERROR", GatewayUnavailable, id="trouble"),
]


@pytest.mark.parametrize(("status", "code", "error"), REFUSALS)
def test_what_the_service_says_instead_of_a_bill(
    service: Loopback, channel: WeChatPayChannel, status: int, code: str, error: type[Exception] | None
) -> None:
    service.on(ASK, json_answer({"code": code, "message": "…"}, status))
    if error is None:
        assert channel.download_bill(DAY) is None
        return
    with pytest.raises(error):
        channel.download_bill(DAY)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"hash_value": "0" * 40}, BillUnusable, id="wrong hash"),
        pytest.param({"hash_type": "MD5"}, GatewayUnavailable, id="another hash"),
        pytest.param({"download_url": "http://127.0.0.1:1/v3/x"}, GatewayUnavailable, id="another host"),
        pytest.param({"download_url": None}, GatewayUnavailable, id="no address"),
    ],
)
def test_bills_that_do_not_come_as_promised(
    service: Loopback, channel: WeChatPayChannel, changes: dict[str, Any], error: type[Exception]
) -> None:
    offer(service, GOOD, **changes)
    with pytest.raises(error):
        channel.download_bill(DAY)


@pytest.mark.parametrize("answer", [Answer(500, b"x"), Answer(404, b"{}"), Answer(drops=True)])
def test_a_file_that_does_not_come_is_no_bill(
    service: Loopback, channel: WeChatPayChannel, answer: Answer
) -> None:
    offer(service, GOOD)
    service.on(FILE, answer)
    with pytest.raises(GatewayUnavailable):
        channel.download_bill(DAY)
