"""Teams: how they look to members, and what happens when one is not filled in time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from app.domain.actor import SYSTEM
from app.domain.errors import NotFound
from app.domain.states import OrderKind, OrderStatus, TeamStatus, VoucherStatus
from app.models import Customer, Order, Team, Voucher
from app.services import group_orders, notifications, payments, refunds
from app.services.locks import lock_campaign, lock_order
from app.services.order_log import move_order
from app.services.refund_decisions import drop_open_request
from app.services.sweeps import sweep
from app.services.unit_of_work import change_rows, session, transactional


def get_team(team_id: int, *, now: datetime) -> dict[str, Any]:
    """Return a team as its members and invited people see it; raises NotFound."""
    team = session().get(Team, team_id, populate_existing=True)
    if team is None:
        raise NotFound()
    members = _members(team)
    return {
        "id": team.id,
        "campaign_id": team.campaign_id,
        "size": team.size,
        "joined": len(members),
        "expires_at": team.expires_at,
        "status": team.status.value,
        "members": [{"nickname": each.nickname, "avatar_url": each.avatar_url} for each in members],
    }


def _members(team: Team) -> list[Any]:
    paid = (OrderStatus.FORMING, OrderStatus.ISSUED, OrderStatus.USED)
    rows = session().scalars(
        select(Customer)
        .join(Order, Order.customer_id == Customer.id)
        .where(Order.team_id == team.id, Order.status.in_(paid))
        .order_by(Order.id)
    )
    return list(rows.all())


def expire_unpaid(*, now: datetime, limit: int = 200) -> int:
    """Cancel the group-buy orders that were not paid in time; stock, limit and seat go back."""
    due = session().scalars(
        select(Order.id)
        .where(
            Order.kind == OrderKind.GROUP_BUY,
            Order.status == OrderStatus.PENDING_PAYMENT,
            Order.expires_at <= now,
        )
        .limit(limit)
    )

    def expire(order_id: int) -> bool:
        return payments.close_open_payments(order_id, now=now) and _expire(order_id, now=now)

    return sweep(due.all(), expire)


@transactional
def _expire(order_id: int, *, now: datetime) -> bool:
    order = lock_order(order_id)
    if order.status is not OrderStatus.PENDING_PAYMENT or order.expires_at is None or order.expires_at > now:
        return False
    group_orders.give_back(order)
    move_order(order, "expire", OrderStatus.CANCELLED, actor=SYSTEM, now=now, finished_at=now)
    notifications.queue_notice("order_expired", order=order, now=now)
    return True


def fail_overdue_teams(*, now: datetime, limit: int = 100) -> int:
    """Refund everybody of the teams that were not filled by their deadline."""
    due = session().scalars(
        select(Team.id).where(Team.status == TeamStatus.FORMING, Team.expires_at <= now).limit(limit)
    )
    return sweep(due.all(), lambda team_id: _fail(team_id, now=now))


@transactional
def _fail(team_id: int, *, now: datetime) -> bool:
    lock_campaign(session().execute(select(Team.campaign_id).where(Team.id == team_id)).scalar_one())
    changed = change_rows(
        update(Team)
        .where(Team.id == team_id, Team.status == TeamStatus.FORMING, Team.expires_at <= now)
        .values(status=TeamStatus.FAILED)
    )
    if changed != 1:
        return False
    members = session().scalars(
        select(Order.id).where(Order.team_id == team_id, Order.status == OrderStatus.FORMING)
    )
    for order_id in members.all():
        group_orders.fail_member(lock_order(order_id), now=now)
    return True


def expire_vouchers(*, now: datetime, limit: int = 200) -> int:
    """End the vouchers whose validity is over; by the campaign's policy their price is refunded."""
    due = session().scalars(
        select(Voucher.order_id)
        .where(Voucher.status == VoucherStatus.ISSUED, Voucher.valid_until_at <= now)
        .distinct()
        .limit(limit)
    )
    return sweep(due.all(), lambda order_id: _expire_vouchers(order_id, now=now))


@transactional
def _expire_vouchers(order_id: int, *, now: datetime) -> bool:
    order = lock_order(order_id)
    expired = session().scalars(
        select(Voucher).where(
            Voucher.order_id == order_id,
            Voucher.status == VoucherStatus.ISSUED,
            Voucher.valid_until_at <= now,
        )
    )
    rows = list(expired.all())
    if not rows or order.status is not OrderStatus.ISSUED:
        return False
    assert order.campaign is not None
    amount_fen = sum(voucher.price_fen for voucher in rows)
    is_refunded = order.campaign.is_refunded_on_expiry and amount_fen > 0
    for voucher in rows:
        voucher.status = VoucherStatus.REFUNDING if is_refunded else VoucherStatus.EXPIRED
    session().flush()
    # What it asked for is not there any more, or goes back by itself.
    drop_open_request(order, actor=SYSTEM, now=now)
    if is_refunded:
        move_order(
            order, "refund_approve", OrderStatus.REFUNDING, actor=SYSTEM, now=now, reason="voucher_expired"
        )
        refunds.refund_order(order, amount_fen, reason="voucher_expired", actor=SYSTEM, now=now)
    else:
        _close_order(order, now=now)
    last = rows[-1]
    told = {"campaign": order.campaign.title, "code_tail": last.code_tail, "valid_until": last.valid_until_at}
    notifications.queue_notice("voucher_expired", order=order, variables=told, now=now)
    return True


def _close_order(order: Order, *, now: datetime) -> None:
    """Without a usable voucher left the order is used when one was redeemed, else expired."""
    statuses = set(session().scalars(select(Voucher.status).where(Voucher.order_id == order.id)).all())
    if statuses & set(group_orders.USABLE):
        return
    if VoucherStatus.REDEEMED in statuses:
        move_order(order, "redeem", OrderStatus.USED, actor=SYSTEM, now=now, finished_at=now)
    else:
        move_order(order, "expire", OrderStatus.EXPIRED, actor=SYSTEM, now=now, finished_at=now)
