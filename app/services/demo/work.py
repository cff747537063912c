"""Work that the example history leaves to somebody: refunds that are stuck, requests that wait for review."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from app.domain.actor import PAYMENT_SERVICE, Actor, customer_actor
from app.domain.refund_rules import RefundOffer, offer_for_booking
from app.domain.states import (
    OrderKind,
    OrderStatus,
    PaymentChannel,
    RefundRequestStatus,
    RefundStatus,
)
from app.services.demo.batch import Row
from app.services.demo.ledger import Draft
from app.services.room_rules import frozen_policy

STUCK, STUCK_DAYS = 2, timedelta(days=6)
ASKED_BEFORE, REVIEWED_AFTER, ASKED_AFTER = (
    timedelta(minutes=40),
    timedelta(minutes=35),
    timedelta(minutes=12),
)
COMING, PAST = timedelta(hours=26), timedelta(days=2)


def leave_work(drafts: list[Draft], reviewer: Actor, now: datetime) -> None:
    """Leave two refunds that WeChat could not carry out, one request to review, and one that was refused."""
    bookings = [draft for draft in drafts if draft.kind is OrderKind.BOOKING]
    stuck = [draft for draft in bookings if _can_be_stuck(draft, now)]
    for draft in stuck[-STUCK:]:
        arrived_at = draft.refunds[0]["finished_at"]
        draft.keep_refund_open(RefundStatus.ABNORMAL, last_error="USER_ACCOUNT_ABNORMAL")
        refund_no = {"refund_no": draft.refunds[0]["refund_no"]}
        draft.record("refund_abnormal", PAYMENT_SERVICE, arrived_at, data=refund_no)
    waiting = [draft for draft in bookings if _may_ask(draft, now)]
    if waiting:
        _ask(waiting[-1], "同行的朋友临时来不了", now - ASKED_BEFORE)
    over = [draft for draft in bookings if _has_left(draft, now)]
    if over:
        _refuse(over[-1], reviewer, over[-1].values["finished_at"] + ASKED_AFTER)


def _can_be_stuck(draft: Draft, now: datetime) -> bool:
    if draft.status is not OrderStatus.REFUNDED or len(draft.refunds) != 1:
        return False
    is_wechat = draft.payments[-1]["channel"] is PaymentChannel.WECHAT_JSAPI
    return is_wechat and now - draft.refunds[0]["created_at"] < STUCK_DAYS


def _may_ask(draft: Draft, now: datetime) -> bool:
    is_quiet = draft.events[-1]["at"] <= now - ASKED_BEFORE
    if draft.status is not OrderStatus.AWAITING_USE or draft.booking is None or not is_quiet:
        return False
    return draft.guest is not None and draft.paid_fen > 0 and draft.booking["start_at"] > now + COMING


def _has_left(draft: Draft, now: datetime) -> bool:
    if draft.status is not OrderStatus.COMPLETED or draft.guest is None or not draft.paid_fen:
        return False
    left_at: datetime = draft.values["finished_at"]
    return now - PAST < left_at <= now - ASKED_AFTER - REVIEWED_AFTER


def _ask(draft: Draft, reason: str, at: datetime) -> Row:
    assert draft.guest is not None and draft.booking is not None
    offer: RefundOffer = offer_for_booking(
        frozen_policy(draft.values["policy"]),
        draft.paid_fen,
        start_at=draft.booking["start_at"],
        is_begun=draft.booking["checked_in_at"] is not None,
        now=at,
    )
    request = {
        "status": RefundRequestStatus.REQUESTED,
        "reason": reason,
        "policy_fen": offer.policy_fen,
        "step": asdict(offer.step) if offer.step else None,
        "created_at": at,
    }
    draft.requests.append(request)
    guest, data = customer_actor(draft.guest.id, draft.guest.nickname), {"amount_fen": offer.policy_fen}
    draft.record("refund_request", guest, at, reason=reason, data=data)
    return request


def _refuse(draft: Draft, reviewer: Actor, at: datetime) -> None:
    decision = "已按时使用完毕，包间与设备均正常"
    decided_at = at + REVIEWED_AFTER
    _ask(draft, "觉得包间有点闷", at).update(
        status=RefundRequestStatus.REFUSED,
        decided_at=decided_at,
        decided_by=reviewer.name,
        decision_reason=decision,
    )
    draft.record("refund_refuse", reviewer, decided_at, reason=decision)
