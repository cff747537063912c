"""Daily bills of WeChat Pay: values behind back-ticks in yuan, packed, and behind an address for minutes."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from flask import Response, g, request

from sandbox.clock import CHINA, china_time
from sandbox.fields import FieldError
from sandbox.services import Context, json_response
from sandbox.signing import random_text
from sandbox.wechat_pay_orders import Payment, Payments
from sandbox.wechat_pay_refunds import Refund, Refunds
from sandbox.wechat_pay_rules import PayError

COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
SUMS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
FEE_PER_MILLE = 6
BILL_SECONDS = 300
OLDEST = timedelta(days=92)
KINDS = ("ALL", "SUCCESS", "REFUND")


class Bills:
    """The two paths of bills: asking for one, and fetching it."""

    def __init__(self, context: Context, payments: Payments, refunds: Refunds) -> None:
        self._context = context
        self._payments = payments
        self._refunds = refunds

    def ask(self) -> Response:
        """Give a bill's address and hash; the bill of today holds what there is so far."""
        day, kind = self._wanted_day(), request.args.get("bill_type", "ALL")
        if kind not in KINDS or request.args.get("tar_type") not in (None, "GZIP"):
            raise FieldError("bill_type", "取值不正确")
        text = self._make(day, kind)
        if text is None:
            raise PayError(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        token = random_text(43)
        record = {
            "text": text,
            "is_packed": request.args.get("tar_type") == "GZIP",
            "expires_at": self._now().timestamp() + BILL_SECONDS,
        }
        self._context.store.put("wechat_bill", token, record)
        return json_response(
            {
                "hash_type": "SHA1",
                "hash_value": hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
                "download_url": f"{request.url_root}v3/billdownload/file?token={token}",
            }
        )

    def fetch(self) -> Response:
        """Give the file; the real service does not sign it either."""
        g.is_unsigned = True
        record = self._context.store.get("wechat_bill", request.args.get("token", ""))
        if record is None or record["expires_at"] <= self._now().timestamp():
            raise PayError(400, "INVALID_REQUEST", "下载地址无效或已过期")
        content = record["text"].encode()
        packed = gzip.compress(content) if record["is_packed"] else content
        return Response(packed, content_type="application/octet-stream")

    def _now(self) -> datetime:
        return self._context.clock().astimezone(CHINA)

    def _wanted_day(self) -> date:
        text = request.args.get("bill_date", "")
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise FieldError("bill_date", "应为yyyy-MM-dd") from None
        today = self._now().date()
        if day > today or day < today - OLDEST:
            raise PayError(400, "INVALID_REQUEST", "账单日期不在可下载的范围内")
        made_at = datetime(day.year, day.month, day.day, tzinfo=CHINA)
        if self._now() < made_at + timedelta(hours=self._context.settings.bill_delay_hours):
            raise PayError(400, "STATEMENT_CREATING", "账单生成中，请稍后再试")
        return day

    def _make(self, day: date, kind: str) -> str | None:
        ring = self._context.ring
        paid = [payment for payment in self._payments.all() if _is_on(payment.success_at, day)]
        back = [refund for refund in self._refunds.all() if _is_on(refund.success_at, day)]
        rows = [(payment.success_at or 0.0, _payment(payment)) for payment in paid if kind != "REFUND"]
        if kind != "SUCCESS":
            found = ((refund, self._payments.find(refund.out_trade_no)) for refund in back)
            rows += [
                (refund.success_at or 0.0, _refund(refund, of)) for refund, of in found if of is not None
            ]
        if not rows:
            return None
        shared = {"公众账号ID": ring.app_id, "商户号": ring.mchid}
        return written([row | shared for _, row in sorted(rows, key=lambda row: row[0])])


def _is_on(epoch: float | None, day: date) -> bool:
    return epoch is not None and china_time(epoch).startswith(day.isoformat())


def _payment(payment: Payment) -> dict[str, str]:
    return {
        **_shared(payment, payment.success_at or 0.0),
        "交易状态": "SUCCESS",
        "应结订单金额": yuan(payment.total),
        "手续费": f"{_fee(payment.total)}000",
        "订单金额": yuan(payment.total),
    }


def _refund(refund: Refund, payment: Payment) -> dict[str, str]:
    return {
        **_shared(payment, refund.success_at or 0.0),
        "交易状态": "REFUND",
        "微信退款单号": refund.refund_id,
        "商户退款单号": refund.out_refund_no,
        "退款金额": yuan(refund.refund),
        "退款类型": "ORIGINAL",
        "退款状态": "SUCCESS",
        "手续费": f"-{_fee(refund.refund)}000",
        "申请退款金额": yuan(refund.refund),
    }


def _shared(payment: Payment, at: float) -> dict[str, str]:
    return {
        "交易时间": china_time(at)[:19].replace("T", " "),
        "微信订单号": payment.transaction_id or "",
        "商户订单号": payment.out_trade_no,
        "用户标识": payment.openid or "",
        "交易类型": payment.trade_type,
        "付款银行": "OTHERS",
        "货币种类": "CNY",
        "商品名称": payment.description.replace("`", " "),
        "商户数据包": (payment.attach or "").replace("`", " "),
        "费率": "0.60%",
    }


def written(rows: list[dict[str, str]]) -> str:
    """Return a bill as the service writes it, with the row of sums at its end."""
    lines = [COLUMNS, *(_row(row) for row in rows), SUMS, _row_of(_sums(rows))]
    return "".join(f"{line}\r\n" for line in lines)


def _row(values: dict[str, str]) -> str:
    return _row_of(values.get(name, "0.00" if "金额" in name else "") for name in COLUMNS.split(","))


def _row_of(values: Iterable[str]) -> str:
    return ",".join(f"`{value}" for value in values)


def _sums(rows: list[dict[str, str]]) -> list[str]:
    def total(name: str) -> str:
        return yuan(sum(int(row.get(name, "0.00").replace(".", "")) for row in rows))

    fee = sum(int(row["手续费"].replace(".", "")) for row in rows)
    sign = "-" if fee < 0 else ""
    return [
        *(str(len(rows)), total("应结订单金额"), total("退款金额"), "0.00"),
        *(f"{sign}{abs(fee) // 100000}.{abs(fee) % 100000:05d}", total("订单金额"), total("申请退款金额")),
    ]


def _fee(fen: int) -> str:
    return yuan((fen * FEE_PER_MILLE + 500) // 1000)


def yuan(fen: int) -> str:
    """Write fen as bills do: 12800 -> ``128.00``."""
    return f"{fen // 100}.{fen % 100:02d}"
