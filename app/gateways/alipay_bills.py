"""Reads a day's bill of Alipay: a zip of GBK tables, one with every payment and refund, one with sums."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO, StringIO
from zipfile import BadZipFile, ZipFile

from app.gateways.alipay_facts import optional, required
from app.gateways.bill_checks import MOST_BYTES
from app.gateways.ports import BillEntry, BillUnusable
from app.gateways.unreadable import FactsMalformed
from app.gateways.written import fen_of, instant_of

# The names inside the archive are GBK without saying so; the first line tells the tables apart as well.
_DETAILS = "#支付宝业务明细查询"
_REFUND = "退款"
_ACCOUNT = "#账号：["
# Without its last lines a table is cut off.
_END = "列表结束"


def read_bill(archive: bytes, *, seller_id: str) -> list[BillEntry]:
    """Return the entries of a bill in its own order.

    Raises FactsMalformed for anything that is no bill, BillUnusable for the bill of another merchant.
    """
    lines: list[str] = []
    remarks: list[str] = []
    for line in StringIO(_details(archive), newline=""):
        (remarks if line.startswith("#") else lines).append(line)
    _check_remarks(remarks, seller_id)
    try:
        return [_entry(row) for row in _rows(iter(lines))]
    except csv.Error:
        raise FactsMalformed("bill") from None


def _check_remarks(remarks: list[str], seller_id: str) -> None:
    if not any(_END in remark for remark in remarks):
        raise FactsMalformed("bill")
    # The account is the merchant's number with four digits more.
    if not any(remark.startswith(f"{_ACCOUNT}{seller_id}") for remark in remarks):
        raise BillUnusable("other_merchant")


def _details(archive: bytes) -> str:
    try:
        with ZipFile(BytesIO(archive)) as opened:
            files = opened.infolist()
            if sum(file.file_size for file in files) > MOST_BYTES:
                raise FactsMalformed("bill")
            texts = [opened.read(file).decode("gb18030") for file in files]
    # Damaged, encrypted and unknown archives each have an error of their own.
    except (BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError, OSError):
        raise FactsMalformed("bill") from None
    found = [text for text in texts if text.startswith(_DETAILS)]
    if len(found) != 1:
        raise FactsMalformed("bill")
    return found[0]


def _rows(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    for row in csv.DictReader(lines, strict=True):
        if None in row or None in row.values():
            raise FactsMalformed("bill")
        # Long numbers end with a tab, so that spreadsheets take them for texts.
        yield {name.strip(): value.strip() for name, value in row.items()}


def _entry(row: dict[str, str]) -> BillEntry:
    is_refund = _REFUND in row.get("业务类型", "")
    return BillEntry(
        kind="refund" if is_refund else "payment",
        payment_no=required(row, "商户订单号"),
        refund_no=optional(row, "退款批次号/请求号") if is_refund else None,
        transaction_no=required(row, "支付宝交易号"),
        amount_fen=abs(_signed_fen(row.get("订单金额（元）", ""))),
        fee_fen=-_signed_fen(row.get("服务费（元）", "")),
        settled_at=instant_of(row.get("完成时间")),
    )


def _signed_fen(yuan: str) -> int:
    return -fen_of(yuan[1:]) if yuan.startswith("-") else fen_of(yuan)
