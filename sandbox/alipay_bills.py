"""Daily bills of Alipay: a zip of two GBK tables, one with every payment and refund, one with sums."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sandbox.alipay_refunds import Refund
from sandbox.alipay_rules import moment, yuan
from sandbox.alipay_trades import Trade

COLUMNS = (
    *(
        "支付宝交易号",
        "商户订单号",
        "业务类型",
        "商品名称",
        "创建时间",
        "完成时间",
        "门店编号",
        "门店名称",
        "操作员",
    ),
    *(
        "终端号",
        "对方账户",
        "订单金额（元）",
        "商家实收（元）",
        "支付宝红包（元）",
        "集分宝（元）",
        "支付宝优惠（元）",
    ),
    *("商家优惠（元）", "券核销金额（元）", "券名称", "商家红包消费金额（元）", "卡消费金额（元）"),
    *("退款批次号/请求号", "服务费（元）", "分润（元）", "备注"),
)
SUMMARY_COLUMNS = (
    *("门店编号", "门店名称", "交易订单总笔数", "退款订单总笔数", "订单金额（元）", "商家实收（元）"),
    *("服务费（元）", "实收净额（元）"),
)
RULE = "#-----------------------------------------{}----------------------------------------"
FEE_PER_MILLE = 6


class _GbkName(ZipInfo):
    """A member whose name is GBK without a flag that says so, as in the real archives."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits


def make_bill(seller_id: str, day: date, trades: Iterable[Trade], refunds: Iterable[Refund]) -> bytes | None:
    """Return the archive of a day of China's calendar, None for a day without any business."""
    known = {trade.out_trade_no: trade for trade in trades}
    paid = [trade for trade in known.values() if trade.paid_at is not None and _is_on(trade.paid_at, day)]
    back = [refund for refund in refunds if refund.success_at is not None and _is_on(refund.success_at, day)]
    rows = [(trade.paid_at or 0.0, _payment(trade)) for trade in paid]
    rows += [(refund.success_at or 0.0, _refund(refund, known[refund.out_trade_no])) for refund in back]
    if not rows:
        return None
    details = [row for _, row in sorted(rows)]
    sums = f"\t,\t,{len(paid)},{len(back)},{_sum(paid, back)},{_sum(paid, back)},0.00,{_sum(paid, back)}"
    stem = f"{seller_id}0156_{day:%Y%m%d}_业务明细"
    return _zipped(
        {
            f"{stem}.csv": _table("业务明细", seller_id, day, COLUMNS, details),
            f"{stem}(汇总).csv": _table("业务汇总", seller_id, day, SUMMARY_COLUMNS, [sums]),
        }
    )


def _is_on(epoch: float, day: date) -> bool:
    return moment(epoch).startswith(day.isoformat())


def _payment(trade: Trade) -> str:
    return _row(trade, trade.total, "交易", trade.paid_at or 0.0, "")


def _refund(refund: Refund, trade: Trade) -> str:
    return _row(trade, -refund.amount, "退款", refund.success_at or 0.0, refund.out_request_no)


def _row(trade: Trade, amount: int, kind: str, at: float, request_no: str) -> str:
    money = _signed(amount)
    cost = (abs(amount) * FEE_PER_MILLE + 500) // 1000
    values = {
        "支付宝交易号": f"{trade.trade_no}\t",
        "商户订单号": f"{trade.out_trade_no}\t",
        "业务类型": f"{kind}\t",
        "商品名称": f'"{trade.subject}"' if "," in trade.subject else trade.subject,
        "创建时间": moment(trade.created_at),
        "完成时间": moment(at),
        "对方账户": "**(137******00)\t",
        "订单金额（元）": money,
        "商家实收（元）": money,
        "退款批次号/请求号": f"{request_no}\t",
        "服务费（元）": _signed(-cost if amount > 0 else cost),
    }
    return ",".join(values.get(name, "0.00" if "元" in name else "\t") for name in COLUMNS)


def _signed(fen: int) -> str:
    return f"-{yuan(-fen)}" if fen < 0 else yuan(fen)


def _sum(paid: list[Trade], back: list[Refund]) -> str:
    return _signed(sum(trade.total for trade in paid) - sum(refund.amount for refund in back))


def _table(title: str, seller_id: str, day: date, columns: tuple[str, ...], rows: list[str]) -> str:
    until = day + timedelta(days=1)
    lines = [
        f"#支付宝{title}查询",
        f"#账号：[{seller_id}0156]",
        f"#起始日期：[{day:%Y年%m月%d日} 00:00:00]   终止日期：[{until:%Y年%m月%d日} 00:00:00]",
        RULE.format(f"{title}列表"),
        ",".join(columns),
        *rows,
        RULE.format(f"{title}列表结束"),
        f"#导出时间：[{until:%Y年%m月%d日} 09:00:00]",
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _zipped(tables: dict[str, str]) -> bytes:
    archive = BytesIO()
    with ZipFile(archive, "w", ZIP_DEFLATED) as opened:
        for name, text in tables.items():
            opened.writestr(_GbkName(name), text.encode("gbk"), ZIP_DEFLATED)
    return archive.getvalue()
