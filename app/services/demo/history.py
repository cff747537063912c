"""The history of the example chain, told from its plan and written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import update

from app.domain.actor import Actor
from app.domain.booking_rules import busy_span
from app.domain.slots import floor_minute
from app.domain.states import VoucherStatus
from app.models import (
    Booking,
    Campaign,
    CampaignBuyer,
    CampaignEvent,
    CounterEntry,
    Order,
    OrderEvent,
    OrderLine,
    Payment,
    Redemption,
    RedemptionAttempt,
    Refund,
    RefundRequest,
    Team,
    Voucher,
)
from app.services.demo.batch import Batch, Row
from app.services.demo.calendar import Plan, Visit, Way, plan_visits
from app.services.demo.campaigns import DemoCampaign
from app.services.demo.counter import work_counters
from app.services.demo.ledger import Draft, TeamDraft
from app.services.demo.messages import Names, add_messages
from app.services.demo.people import Guest, pick_guest
from app.services.demo.sales import Sales
from app.services.demo.stores import Shops
from app.services.demo.stories import Desk, Story, booked_at, open_desk
from app.services.demo.vouchers import Pool, VoucherDraft
from app.services.demo.work import leave_work
from app.services.unit_of_work import session
from app.services.vouchers import code_hash

# When a desk first mistypes a code, and how often somebody looks at a campaign for each sale.
MISTYPED_SHARE, VIEWS = 0.05, (1, 8)


def add_history(
    batch: Batch,
    shops: Shops,
    campaigns: list[DemoCampaign],
    guests: list[Guest],
    staff: list[Actor],
    sales: Sales,
    *,
    today: date,
    now: datetime,
) -> None:
    """Collect every order up to now with all that belongs to it."""
    plan = plan_visits(shops, campaigns, today)
    desk = open_desk(now, staff, plan.visits)
    drafts = [*_tell_all(plan, shops, guests, desk, Pool(sales.open_vouchers)), *sales.orders]
    _expire_vouchers(sales, now)
    drafts.sort(key=lambda draft: (draft.created_at, draft.no))
    work_counters(batch, drafts, shops.store_ids, staff, now)
    leave_work(drafts, staff[0], now)
    _add_teams(batch, drafts)
    for draft in drafts:
        _add_order(batch, draft)
    _add_vouchers(batch, sales.vouchers)
    _add_redemptions(batch, sales.vouchers)
    _add_funnel(batch, sales, today)
    rooms = {room_id: room.room_name for room_id, room in plan.rooms.items()}
    stores = {room.store_id: room.store_name for room in plan.rooms.values()}
    add_messages(batch, drafts, Names(stores, rooms, {each.id: each.title for each in campaigns}), now)
    _count_sales(batch, sales)


def _tell_all(plan: Plan, shops: Shops, guests: list[Guest], desk: Desk, pool: Pool) -> Iterator[Draft]:
    for visit in plan.visits:
        busy_until = busy_span(visit.room.policy, visit.span).end_at
        if visit.room.room_id in shops.quiet_room_ids and busy_until > desk.now:
            continue
        created_at = booked_at(visit)
        if created_at <= desk.now:
            yield _tell(visit, created_at, guests, desk, pool)


def _tell(visit: Visit, created_at: datetime, guests: list[Guest], desk: Desk, pool: Pool) -> Draft:
    voucher = pool.take(visit, created_at) if visit.campaign else None
    if voucher is not None:
        visit.guest = voucher.guest
    elif visit.way is Way.DESK:
        visit.way = Way.WALK_IN
    elif visit.way is Way.OWN:
        visit.way = Way.BOOKED
    if visit.way is Way.BOOKED:
        visit.guest = pick_guest(guests, visit.rng, created_at, visit.span)
    draft = Story(desk, visit, created_at, voucher).tell()
    if voucher is not None and voucher.status is VoucherStatus.ISSUED:
        pool.give_back(voucher)
    return draft


def _expire_vouchers(sales: Sales, now: datetime) -> None:
    for voucher in sales.open_vouchers:
        at = voucher.valid_until_at + timedelta(seconds=40)
        if at <= now:
            voucher.expire(at)


def _add_teams(batch: Batch, drafts: list[Draft]) -> None:
    teams: list[TeamDraft] = []
    for draft in drafts:
        if draft.team is not None and draft.team not in teams:
            teams.append(draft.team)
            draft.team.id = batch.add(Team, starter_id=draft.team.starter.id, **draft.team.values)


def _add_order(batch: Batch, draft: Draft) -> None:
    totals = draft.totals
    values: dict[str, Any] = {
        "no": draft.no,
        "kind": draft.kind,
        "status": draft.status,
        "source": draft.source,
        "customer_id": draft.guest.id if draft.guest else None,
        "store_id": draft.store_id,
        "team_id": draft.team.id if draft.team else None,
        "base_fen": totals.base_fen,
        "extra_fen": totals.extra_fen,
        "discount_fen": totals.discount_fen,
        "total_fen": totals.total_fen,
        "paid_fen": draft.paid_fen,
        "refunded_fen": draft.refunded_fen,
        "created_at": draft.created_at,
    }
    draft.id = batch.add(Order, **values | draft.values)
    for line in draft.lines:
        batch.add(OrderLine, order_id=draft.id, **line)
    for event in draft.events:
        batch.add(OrderEvent, order_id=draft.id, **event)
    if draft.booking is not None:
        batch.add(Booking, order_id=draft.id, **draft.booking)
    _add_money(batch, draft)


def _add_money(batch: Batch, draft: Draft) -> None:
    payment_ids = []
    for payment in draft.payments:
        entry = payment.pop("entry", None)
        payment_ids.append(batch.add(Payment, order_id=draft.id, **payment))
        if entry:
            batch.add(CounterEntry, order_id=draft.id, payment_id=payment_ids[-1], **entry)
    for refund in draft.refunds:
        payment_id, entry = payment_ids[refund.pop("payment_index")], refund.pop("entry", None)
        refund_id = batch.add(Refund, order_id=draft.id, payment_id=payment_id, **refund)
        if entry:
            batch.add(CounterEntry, order_id=draft.id, refund_id=refund_id, **entry)
    for request in draft.requests:
        batch.add(RefundRequest, order_id=draft.id, **request)


def _add_vouchers(batch: Batch, vouchers: list[VoucherDraft]) -> None:
    for voucher in sorted(vouchers, key=lambda each: (each.issued_at, each.code)):
        voucher.id = batch.add(
            Voucher,
            code=voucher.code,
            code_hash=code_hash(voucher.code),
            code_tail=voucher.code[-4:],
            order_id=voucher.sale.id,
            customer_id=voucher.guest.id,
            campaign_id=voucher.campaign.id,
            status=voucher.status,
            terms=voucher.terms,
            price_fen=voucher.campaign.price_yuan * 100,
            valid_from_at=floor_minute(voucher.issued_at),
            valid_until_at=voucher.valid_until_at,
            issued_at=voucher.issued_at,
            booking_order_id=voucher.booking.id if voucher.booking else None,
        )


def _add_redemptions(batch: Batch, vouchers: list[VoucherDraft]) -> None:
    done = [(row["redeemed_at"], voucher, row) for voucher in vouchers for row in voucher.redemptions]
    last_ids: dict[int, int] = {}
    for _, voucher, row in sorted(done, key=lambda entry: entry[0]):
        values = dict(row)
        order, is_reversal = values.pop("order"), values.pop("is_reversal")
        reverses_id = last_ids[voucher.id] if is_reversal else None
        last_ids[voucher.id] = batch.add(
            Redemption, voucher_id=voucher.id, order_id=order.id, reverses_id=reverses_id, **values
        )
        if row["staff_id"] is not None and not is_reversal:
            _add_attempts(batch, voucher, row)


def _add_attempts(batch: Batch, voucher: VoucherDraft, row: Row) -> None:
    """Collect what the desk did: sometimes a slip of the finger, then the preview and the confirmation."""
    at, rng = row["redeemed_at"], Random(voucher.code)
    common = {"store_id": row["store_id"], "staff_id": row["staff_id"], "staff_name": row["staff_name"]}
    common |= {"method": row["method"].value, "address": "127.0.0.1"}
    if rng.random() < MISTYPED_SHARE:
        missed_at = at - timedelta(seconds=50)
        batch.add(RedemptionAttempt, at=missed_at, step="preview", outcome="not_found", **common)
    for seconds, step in ((25, "preview"), (0, "confirm")):
        batch.add(
            RedemptionAttempt,
            at=at - timedelta(seconds=seconds),
            step=step,
            outcome="ok",
            voucher_id=voucher.id,
            code_tail=voucher.code[-4:] if step == "preview" else "",
            **common,
        )


def _add_funnel(batch: Batch, sales: Sales, today: date) -> None:
    """Collect the steps of the funnel: views, starts, joins, payments, redemptions."""
    rng = Random(f"funnel:{today}")
    rows: list[tuple[int, str, datetime, int | None]] = []
    for order in sales.orders:
        assert order.guest is not None
        campaign_id, customer_id = order.values["campaign_id"], order.guest.id
        for _ in range(rng.randrange(*VIEWS)):
            viewed_at = order.created_at - timedelta(minutes=rng.randrange(1, 90))
            rows.append((campaign_id, "view", viewed_at, None))
        step = "join" if order.team and order.team.starter is not order.guest else "start"
        rows.append((campaign_id, step, order.created_at, customer_id))
        if order.values.get("paid_at"):
            rows.append((campaign_id, "pay", order.values["paid_at"], customer_id))
    for voucher in sales.vouchers:
        for row in voucher.redemptions:
            if not row["is_reversal"]:
                rows.append((voucher.campaign.id, "redeem", row["redeemed_at"], voucher.guest.id))
    for campaign_id, kind, at, buyer_id in sorted(rows, key=lambda row: row[2]):
        batch.add(CampaignEvent, campaign_id=campaign_id, kind=kind, at=at, customer_id=buyer_id)


def _count_sales(batch: Batch, sales: Sales) -> None:
    """Keep the counters that stock and personal limits are checked against."""
    sold: Counter[int] = Counter()
    for (campaign_id, customer_id), count in sorted(sales.taken.items()):
        sold[campaign_id] += count
        batch.add(CampaignBuyer, campaign_id=campaign_id, customer_id=customer_id, taken_count=count)
    table = Campaign.__table__
    for campaign_id, count in sold.items():
        session().execute(update(table).where(table.c.id == campaign_id).values(sold_count=count))
