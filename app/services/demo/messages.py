"""The in-app messages that the last days of the example history left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain import notices
from app.domain.money import format_fen
from app.domain.states import NotificationChannel, NotificationStatus, OrderKind
from app.models import Notification
from app.services.demo.batch import Batch, Row
from app.services.demo.ledger import ZONE, Draft
from app.services.notice_drafts import RECIPIENTS

DAYS = 7
UNREAD_DAYS = 1

# What an event of the timeline is told as; a group-buy order is told of in its own words.
BOOKING_NOTICES = {
    "create": "order_created",
    "pay": "order_paid",
    "confirm": "booking_confirmed",
    "refuse": "booking_refused",
    "check_in": "booking_started",
    "check_out": "booking_completed",
    "end": "booking_completed",
    "cancel": "order_cancelled",
    "expire": "order_expired",
    "refund_request": "refund_requested",
    "refund_refuse": "refund_refused",
    "refund_created": "refund_started",
    "refund_succeeded": "refund_done",
    "refund_abnormal": "refund_abnormal",
}
GROUP_NOTICES = {
    "create": "order_created",
    "issue": "voucher_issued",
    "team_full": "team_complete",
    "team_failed": "team_failed",
    "refund_created": "refund_started",
    "refund_succeeded": "refund_done",
    "refund_abnormal": "refund_abnormal",
}


@dataclass(frozen=True)
class Names:
    """What stores, rooms and campaigns are called, by their ids."""

    stores: dict[int, str]
    rooms: dict[int, str]
    campaigns: dict[int, str]


def add_messages(batch: Batch, drafts: list[Draft], names: Names, now: datetime) -> None:
    """Collect the messages of the last days, oldest first."""
    since = now - timedelta(days=DAYS)
    rows = [row for draft in drafts for row in _rows_of(draft, names, since, now)]
    for row in sorted(rows, key=lambda row: row["created_at"]):
        batch.add(Notification, **row)


def _rows_of(draft: Draft, names: Names, since: datetime, now: datetime) -> Iterator[Row]:
    known = BOOKING_NOTICES if draft.kind is OrderKind.BOOKING else GROUP_NOTICES
    told = [event for event in draft.events if event["at"] >= since and event["event"] in known]
    if not told:
        return
    facts = _facts(draft, names)
    for event in told:
        notice = known[event["event"]]
        variables = facts | _details(event)
        for recipient in notices.recipients_of(notice):
            if _is_told(notice, recipient, draft):
                yield _row(notice, recipient, draft, event, variables, now)


def _is_told(notice: str, recipient: notices.Recipient, draft: Draft) -> bool:
    if recipient == "customer":
        # With nothing to pay there is nothing to say about an order that was only made.
        return draft.guest is not None and (notice != "order_created" or draft.totals.total_fen > 0)
    is_unpaid = draft.values.get("paid_at") is None and draft.totals.total_fen > 0
    return notices.NOTICES[notice].tells_shop_of_unpaid or not is_unpaid


def _facts(draft: Draft, names: Names) -> dict[str, str]:
    store = names.stores.get(draft.store_id or 0, "")
    campaign = names.campaigns.get(draft.values.get("campaign_id", 0), "")
    room = names.rooms[draft.booking["room_id"]] if draft.booking else ""
    expires_at = draft.created_at + timedelta(minutes=15)
    facts = {
        "order_no": draft.no,
        "store": store,
        "room": room,
        "campaign": campaign,
        "subject": campaign or f"{store} {room}",
        "amount": format_fen(draft.totals.total_fen),
        "expires": _clock(expires_at),
    }
    if draft.booking:
        facts |= {"start": _clock(draft.booking["start_at"]), "end": _end(draft.booking)}
    if draft.vouchers:
        first = draft.vouchers[0]
        facts |= {"code_tail": first.code[-4:], "valid_until": _clock(first.valid_until_at)}
    if draft.team:
        facts |= {"joined": str(draft.team.values["joined_count"]), "size": str(draft.team.values["size"])}
    return facts


def _details(event: Row) -> dict[str, str]:
    details = {"reason": event["reason"]} if event["reason"] else {}
    money = (event["data"] or {}).get("amount_fen")
    return details | ({"amount": format_fen(money)} if money is not None else {})


def _clock(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}"


def _end(booking: Row) -> str:
    start, end = booking["start_at"].astimezone(ZONE), booking["end_at"].astimezone(ZONE)
    return f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"


def _row(
    notice: str,
    recipient: notices.Recipient,
    draft: Draft,
    event: Row,
    variables: dict[str, Any],
    now: datetime,
) -> Row:
    title, body = notices.default_words(notice, recipient, notices.DEFAULT_LANGUAGE)
    customer_id = draft.guest.id if draft.guest else None
    person = f"customer-{customer_id}" if recipient == "customer" else f"shop-{draft.store_id}"
    occurrence = (event["data"] or {}).get("refund_no", "")
    at = event["at"]
    is_read = recipient == "customer" and now - at > timedelta(days=UNREAD_DAYS)
    return {
        "event": notice,
        "recipient": RECIPIENTS[recipient],
        "channel": NotificationChannel.IN_APP,
        "status": NotificationStatus.SENT,
        "customer_id": customer_id if recipient == "customer" else None,
        "store_id": draft.store_id,
        "order_id": draft.id,
        "dedupe_key": f"{notice}:{draft.id}:{person}:in_app:{occurrence}",
        "variables": variables,
        "title": notices.render(title, variables)[:64],
        "body": notices.render(body, variables).strip(),
        "created_at": at,
        "next_attempt_at": at,
        "sent_at": at,
        "read_at": at + timedelta(hours=2) if is_read else None,
    }
