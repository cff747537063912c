"""Telling the sandbox of a development machine about payments that it did not collect itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import requests

from app.gateways.network import as_unavailable
from app.gateways.ports import GatewayUnavailable

TIMEOUT_SECONDS = 10.0
# What the sandbox takes in one request.
MOST_PAYMENTS = 1000


@dataclass(frozen=True, slots=True)
class PaidRefund:
    """A refund as the example data tell it."""

    refund_no: str
    amount_fen: int
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class PaidPayment:
    """A payment as the example data tell it; *refunded_fen* of it went back already, by *refunds*."""

    payment_no: str
    transaction_no: str
    amount_fen: int
    refunded_fen: int
    paid_at: datetime
    refunds: tuple[PaidRefund, ...] = ()


def adopt_payments(sandbox_url: str, payments: Sequence[PaidPayment], *, service: str = "wechat") -> int:
    """Let the sandbox know *payments* as paid, so that it can refund them; return how many were new to it.

    *service* is who collected them: wechat, alipay or unionpay. Safe to repeat. Raises
    GatewayUnavailable when the sandbox does not take all of them.
    """
    adopted = 0
    address = f"{sandbox_url.rstrip('/')}/_control/payments/{service}/adopt"
    with requests.Session() as session:
        # The sandbox is on this machine: no proxy of the environment stands between.
        session.trust_env = False
        for start in range(0, len(payments), MOST_PAYMENTS):
            adopted += _post(session, address, payments[start : start + MOST_PAYMENTS])
    return adopted


def _post(session: requests.Session, address: str, payments: Sequence[PaidPayment]) -> int:
    body = {"payments": [_entry(payment) for payment in payments]}
    try:
        answer = session.post(address, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        if answer.status_code == 200:
            return int(answer.json()["adopted"])
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise as_unavailable(error, "the sandbox") from None
    raise GatewayUnavailable(f"the sandbox answered {answer.status_code}", outcome_unknown=True)


def _entry(payment: PaidPayment) -> dict[str, object]:
    entry: dict[str, object] = {
        "out_trade_no": payment.payment_no,
        "transaction_id": payment.transaction_no,
        "total_fen": payment.amount_fen,
        "refunded_fen": payment.refunded_fen,
        "paid_at": payment.paid_at.isoformat(),
    }
    if payment.refunds:
        entry["refunds"] = [
            {
                "out_refund_no": refund.refund_no,
                "amount_fen": refund.amount_fen,
                "finished_at": refund.finished_at.isoformat(),
            }
            for refund in payment.refunds
        ]
    return entry
