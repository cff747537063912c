"""Reads a day's bill of WeChat Pay: values behind back-ticks, amounts in yuan, sums at the end."""

from __future__ import annotations

import zlib
from hashlib import sha1 as sha1_of
from hmac import compare_digest
from urllib.parse import urlsplit

from app.domain.reconciliation import EntryStatus
from app.gateways.bill_checks import MOST_BYTES
from app.gateways.ports import BillEntry, BillUnusable
from app.gateways.unreadable import FactsMalformed
from app.gateways.wechat_pay_facts import identifier_of
from app.gateways.written import fee_fen_of, fen_of, instant_of

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
_OFFICIAL = (".mch.weixin.qq.com",)
# Names come without a back-tick, values with one; a value may hold commas.
_TICK, _BETWEEN = "`", ",`"
_COUNT, _PAID_SUM, _REFUNDED_SUM = "总交易单数", "订单总金额", "申请退款总金额"
_PAID, _REFUNDED = "订单金额", "申请退款金额"
# A till that takes a payment back at once makes a refund that has no number.
_KINDS = {"SUCCESS", "REFUND", "REVOKED"}
_REFUND_STATES: dict[str, EntryStatus] = {
    "SUCCESS": "succeeded",
    "PROCESSING": "processing",
    "FAIL": "failed",
}

Row = dict[str, str]


def path_of_bill(url: str, base_url: str) -> str:
    """Return path and query of a bill's address on the service's own host; raises FactsMalformed."""
    found, base = urlsplit(url), urlsplit(base_url)
    is_official = found.scheme == "https" and (found.hostname or "").endswith(_OFFICIAL)
    if (found.scheme, found.netloc) != (base.scheme, base.netloc) and not is_official:
        raise FactsMalformed("download_url")
    if not found.path.startswith("/v3/"):
        raise FactsMalformed("download_url")
    return f"{found.path}?{found.query}" if found.query else found.path


def unpacked(content: bytes, *, sha1: str) -> bytes:
    """Return the file inside what was downloaded; raises BillUnusable when its hash is not *sha1*."""
    if content.startswith(_GZIP):
        unfolding = zlib.decompressobj(_GZIP_WINDOW)
        try:
            content = unfolding.decompress(content, MOST_BYTES)
        except zlib.error:
            raise BillUnusable("malformed") from None
        if not unfolding.eof:
            raise BillUnusable("malformed")
    if not compare_digest(sha1_of(content, usedforsecurity=False).hexdigest(), sha1.lower()):
        raise BillUnusable("hash_mismatch")
    return content


def read_bill(content: bytes, *, mchid: str) -> list[BillEntry]:
    """Return the entries of a bill in its own order.

    Raises FactsMalformed for anything that is no bill, BillUnusable where the sums at its end are not those
    of its rows, or where a row belongs to another merchant.
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise FactsMalformed("bill") from None
    rows, sums = _tables([line.removesuffix("\r") for line in lines])
    if any(row.get("商户号") != mchid for row in rows):
        raise BillUnusable("other_merchant")
    if not _adds_up(rows, sums):
        raise BillUnusable("sums_mismatch")
    return [_entry(row) for row in rows]


def _tables(lines: list[str]) -> tuple[list[Row], Row]:
    """Take the two tables of a bill apart: trades, and one row of sums."""
    while lines and not lines[-1]:
        lines.pop()
    at = next((at for at, line in enumerate(lines) if line.startswith(_COUNT)), None)
    if at is None or at == 0 or len(lines) != at + 2:
        raise FactsMalformed("bill")
    names = lines[0].split(",")
    (sums,) = _rows(lines[at].split(","), lines[at + 1 :])
    return _rows(names, lines[1:at]), sums


def _rows(names: list[str], lines: list[str]) -> list[Row]:
    if len(set(names)) != len(names):
        raise FactsMalformed("bill")
    found = []
    for line in lines:
        values = line[1:].split(_BETWEEN)
        if not line.startswith(_TICK) or len(values) != len(names):
            raise FactsMalformed("bill")
        found.append(dict(zip(names, values, strict=True)))
    return found


def _adds_up(rows: list[Row], sums: Row) -> bool:
    def total(name: str) -> int:
        return sum(fen_of(row.get(name)) for row in rows)

    return (
        sums.get(_COUNT) == str(len(rows))
        and fen_of(sums.get(_PAID_SUM)) == total(_PAID)
        and fen_of(sums.get(_REFUNDED_SUM)) == total(_REFUNDED)
    )


def _entry(row: Row) -> BillEntry:
    state = row.get("交易状态")
    if state not in _KINDS or row.get("货币种类") != "CNY":
        raise FactsMalformed("交易状态")
    is_refund = state != "SUCCESS"
    is_named = state == "REFUND"
    status: EntryStatus | None = _REFUND_STATES.get(row.get("退款状态", "")) if is_named else "succeeded"
    if status is None:
        raise FactsMalformed("退款状态")
    return BillEntry(
        kind="refund" if is_refund else "payment",
        payment_no=identifier_of(row, "商户订单号"),
        refund_no=identifier_of(row, "商户退款单号") if is_named else None,
        transaction_no=identifier_of(row, "微信订单号"),
        amount_fen=fen_of(row.get(_REFUNDED if is_refund else _PAID)),
        fee_fen=fee_fen_of(row.get("手续费", "")),
        settled_at=instant_of(row.get("交易时间")),
        status=status,
    )
