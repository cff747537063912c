"""Bills of Alipay: GBK tables in a zip are read to the fen, anything else is no bill."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from app.gateways import alipay_bills
from app.gateways.ports import BillEntry, BillUnusable
from app.gateways.unreadable import FactsMalformed

TRADE_NO = "2026031422001400000000000001"
HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,"
    "券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
SELLER = "2088000000000001"
FRAME = "#支付宝业务明细查询\r\n#账号：[20880000000000010156]\r\n#---业务明细列表---\r\n"
FOOT = "#---业务明细列表结束---\r\n#交易合计：1笔\r\n#导出时间：[2026年03月15日 09:00:00]\r\n"
SUMMARY = "#支付宝业务汇总查询\r\n门店编号,门店名称\r\n\t,\t\r\n"


def read_bill(content: bytes) -> list[BillEntry]:
    return alipay_bills.read_bill(content, seller_id=SELLER)


def row(
    amount: str = "128.00", kind: str = "交易", refund_no: str = "", fee: str = "-0.77", subject: str = "雀坊"
) -> str:
    times = "2026-03-14 11:58:00,2026-03-14 12:00:00"
    money = f"{amount},{amount},0.00,0.00,0.00,0.00,0.00,,0.00\t,0.00"
    return (
        f"{TRADE_NO}\t,P20260314000001\t,{kind}\t,{subject},{times},\t,\t,\t,\t,**(137******00)\t,"
        f"{money},{refund_no}\t,{fee},0.00,\t\r\n"
    )


def archive(*rows: str, header: str = HEADER, encoding: str = "gbk", **more: bytes) -> bytes:
    table = (FRAME + header + "\r\n" + "".join(rows) + FOOT).encode(encoding)
    return zipped({"20880000000000010156_20260314_业务明细.csv": table} | more)


def zipped(files: dict[str, bytes]) -> bytes:
    content = BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as opened:
        for name, body in files.items():
            opened.writestr(name, body)
    return content.getvalue()


def test_payments_and_refunds_are_read() -> None:
    bill = archive(
        row(subject='"雀坊, 牡丹 ""包间"""'),
        row("-64.05", "退款", "R20260314000001", "0.38"),
        summary=SUMMARY.encode("gbk"),
    )

    settled_at = datetime(2026, 3, 14, 4, 0, tzinfo=UTC)
    assert read_bill(bill) == [
        BillEntry("payment", "P20260314000001", None, TRADE_NO, 12800, 77, settled_at),
        BillEntry("refund", "P20260314000001", "R20260314000001", TRADE_NO, 6405, -38, settled_at),
    ]


def test_a_bill_without_rows_is_empty() -> None:
    assert read_bill(archive()) == []


def test_columns_are_found_by_their_names() -> None:
    mixed = "商户订单号,支付宝交易号,业务类型,完成时间,订单金额（元）,服务费（元）,退款批次号/请求号,新的一栏"
    line = f"P20260314000001,{TRADE_NO},交易,2026-03-14 12:00:00,0.01,0.00,,x\r\n"

    (entry,) = read_bill(archive(line, header=mixed))

    assert (entry.amount_fen, entry.fee_fen) == (1, 0)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>expired</html>", id="page"),
        pytest.param(archive(row())[:-30], id="cut off"),
        pytest.param(zipped({}), id="empty archive"),
        pytest.param(zipped({"a.csv": SUMMARY.encode("gbk")}), id="sums only"),
        pytest.param(archive(row(), other=(FRAME + HEADER).encode("gbk")), id="two tables"),
        pytest.param(archive(row(), encoding="utf-8"), id="another encoding"),
        pytest.param(archive(row()[:60] + "\r\n"), id="short row"),
        pytest.param(archive(row().replace("\r\n", ",more\r\n")), id="long row"),
        pytest.param(archive(row(amount="1e3")), id="odd amount"),
        pytest.param(archive(row(amount="")), id="no amount"),
        pytest.param(archive(row(fee="--1.00")), id="odd fee"),
        pytest.param(archive(row(subject='"open')), id="open quote"),
        pytest.param(archive(row(), header="a,b,c"), id="other columns"),
        pytest.param(archive(row(amount="1.005")), id="part of a fen"),
        pytest.param(zipped({"a.csv": (FRAME + HEADER + "\r\n" + row()).encode("gbk")}), id="without an end"),
    ],
)
def test_anything_else_is_no_bill(content: bytes) -> None:
    with pytest.raises(FactsMalformed):
        read_bill(content)


def test_an_archive_that_unfolds_without_end_is_no_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gateways.alipay_bills.MOST_BYTES", 1000)

    with pytest.raises(FactsMalformed):
        read_bill(zipped({"a.csv": (FRAME + HEADER + "\r\n" + "#" * 1000).encode("gbk")}))


def test_the_bill_of_another_merchant_is_refused() -> None:
    with pytest.raises(BillUnusable, match="other_merchant"):
        alipay_bills.read_bill(archive(row()), seller_id="2088000000000002")


def test_thousands_of_rows_and_texts_like_formulas() -> None:
    rows = [
        row(subject='"=1+1,""x"""').replace("P20260314000001", f"P{number:014d}") for number in range(5000)
    ]

    assert len(read_bill(archive(*rows))) == 5000
