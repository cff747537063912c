"""Group-buy orders: seats, stock and limits taken by conditional updates; vouchers issued when paid."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, or_, select, true, update

from app.domain.actor import SYSTEM, Actor
from app.domain.errors import (
    Blacklisted,
    InvalidField,
    LimitReached,
    NotFound,
    SoldOut,
    TeamFull,
)
from app.domain.pricing import LineKind, QuoteLine
from app.domain.slots import floor_minute
from app.domain.states import OrderKind, OrderStatus, TeamStatus, VoucherStatus
from app.domain.voucher_codes import new_code
from app.models import Campaign, CampaignBuyer, Customer, Order, OrderSource, Team, Voucher
from app.services import campaigns, notifications, refunds
from app.services.inserts import insert_into
from app.services.locks import lock_campaign, lock_customer, lock_order
from app.services.numbers import new_number
from app.services.order_log import add_lines, move_order, record_event
from app.services.refund_decisions import drop_open_request
from app.services.unit_of_work import change_rows, session, transactional
from app.services.vouchers import code_hash, stored_terms

HOLD_MINUTES = 15
USABLE = (VoucherStatus.ISSUED, VoucherStatus.LOCKED)


@transactional
def create_group_order(
    campaign_id: int,
    *,
    quantity: int = 1,
    team_id: int | None = None,
    shared_by: int | None = None,
    actor: Actor,
    now: datetime,
) -> str:
    """Take stock, limit and seat of a campaign and return the number of the unpaid order.

    Without `team_id` a campaign for teams starts one. Raises NotFound, SoldOut, LimitReached, TeamFull,
    Blacklisted, InvalidField (a team buys one each; the team belongs to another campaign).
    """
    customer = lock_customer(actor.id)
    if customer.is_blacklisted:
        raise Blacklisted(data={"rule": "blacklist", "limit": None})
    campaign = campaigns.find_on_sale(campaign_id, now=now)
    if campaign.team_size > 1 and quantity != 1:
        raise InvalidField.of("quantity", _l("A team member buys exactly one."))
    if campaign.team_size == 1 and team_id is not None:
        raise InvalidField.of("team_id", _l("This campaign has no teams."))
    _take_stock(campaign, quantity)
    _take_limit(campaign, customer.id, quantity)
    team = _take_seat(campaign, team_id, customer_id=customer.id, now=now)
    order = _save(
        campaign, quantity, team, customer_id=customer.id, shared_by=shared_by, actor=actor, now=now
    )
    if order.total_fen == 0:
        settle_paid(order, actor=actor, now=now)
    return order.no


def _take_stock(campaign: Campaign, quantity: int) -> None:
    changed = change_rows(
        update(Campaign)
        .where(
            Campaign.id == campaign.id,
            or_(Campaign.stock.is_(None), Campaign.sold_count + quantity <= Campaign.stock),
        )
        .values(sold_count=Campaign.sold_count + quantity, updated_at=Campaign.updated_at)
    )
    if changed != 1:
        raise SoldOut()


def _take_limit(campaign: Campaign, customer_id: int, quantity: int) -> None:
    change_rows(
        insert_into(CampaignBuyer)
        .values(campaign_id=campaign.id, customer_id=customer_id, taken_count=0)
        .on_conflict_do_nothing()
    )
    limit = campaign.per_customer_limit
    within = CampaignBuyer.taken_count + quantity <= limit if limit is not None else true()
    changed = change_rows(
        update(CampaignBuyer)
        .where(CampaignBuyer.campaign_id == campaign.id, CampaignBuyer.customer_id == customer_id, within)
        .values(taken_count=CampaignBuyer.taken_count + quantity)
    )
    if changed != 1:
        raise LimitReached(data={"rule": "per_customer_limit", "limit": limit})


def _take_seat(campaign: Campaign, team_id: int | None, *, customer_id: int, now: datetime) -> Team | None:
    if campaign.team_size == 1:
        return None
    if team_id is None:
        return _start_team(campaign, customer_id=customer_id, now=now)
    team = session().get(Team, team_id, populate_existing=True)
    if team is None or team.campaign_id != campaign.id:
        raise NotFound()
    _check_not_member(team, customer_id)
    changed = change_rows(
        update(Team)
        .where(
            Team.id == team.id,
            Team.status == TeamStatus.FORMING,
            Team.expires_at > now,
            Team.joined_count < Team.size,
        )
        .values(joined_count=Team.joined_count + 1)
    )
    if changed != 1:
        raise TeamFull()
    return team


def _check_not_member(team: Team, customer_id: int) -> None:
    mine = session().scalar(
        select(Order.id).where(
            Order.team_id == team.id,
            Order.customer_id == customer_id,
            Order.status.in_((OrderStatus.PENDING_PAYMENT, OrderStatus.FORMING, OrderStatus.ISSUED)),
        )
    )
    if mine is not None:
        raise LimitReached(_l("You are already in this team."), data={"rule": "team_member", "limit": 1})


def _start_team(campaign: Campaign, *, customer_id: int, now: datetime) -> Team:
    team = Team(
        no=new_number("T", now),
        campaign_id=campaign.id,
        starter_id=customer_id,
        size=campaign.team_size,
        joined_count=1,
        status=TeamStatus.FORMING,
        created_at=now,
        expires_at=now + timedelta(minutes=campaign.team_minutes),
    )
    session().add(team)
    session().flush()
    return team


def _save(
    campaign: Campaign,
    quantity: int,
    team: Team | None,
    *,
    customer_id: int,
    shared_by: int | None,
    actor: Actor,
    now: datetime,
) -> Order:
    total_fen = campaign.price_fen * quantity
    order = Order(
        no=new_number("G", now),
        kind=OrderKind.GROUP_BUY,
        status=OrderStatus.PENDING_PAYMENT,
        source=OrderSource.MINI_PROGRAM,
        customer_id=customer_id,
        store_id=campaign.stores[0].id if len(campaign.stores) == 1 else None,
        campaign_id=campaign.id,
        team_id=team.id if team else None,
        shared_by_id=_known_sharer(shared_by, customer_id),
        quantity=quantity,
        base_fen=total_fen,
        total_fen=total_fen,
        policy=frozen_terms(campaign),
        created_at=now,
        expires_at=now + timedelta(minutes=HOLD_MINUTES),
    )
    session().add(order)
    session().flush()
    line = QuoteLine(LineKind.PACKAGE, campaign.title, total_fen, unit_fen=campaign.price_fen)
    add_lines(order, [line])
    record_event(order, "create", actor=actor, now=now, target=OrderStatus.PENDING_PAYMENT)
    step = "start" if team is None or team.starter_id == customer_id else "join"
    campaigns.record_step(
        campaign.id, step, customer_id=customer_id, shared_by_id=order.shared_by_id, now=now
    )
    notifications.queue_notice("order_created", order=order, now=now)
    return order


def _known_sharer(shared_by: int | None, customer_id: int) -> int | None:
    if shared_by is None or shared_by == customer_id:
        return None
    return session().scalar(select(Customer.id).where(Customer.id == shared_by))


def settle_paid(order: Order, *, actor: Actor, now: datetime) -> None:
    """Issue the vouchers of a paid order, or let it wait for its team; the caller holds the order's lock."""
    assert order.campaign_id is not None
    campaigns.record_step(
        order.campaign_id, "pay", customer_id=order.customer_id, shared_by_id=order.shared_by_id, now=now
    )
    if order.team_id is None:
        move_order(order, "pay", OrderStatus.ISSUED, actor=actor, now=now, paid_at=now, expires_at=None)
        issue_vouchers(order, actor=actor, now=now)
        return
    team = _lock_team(order.team_id)
    move_order(order, "pay", OrderStatus.FORMING, actor=actor, now=now, paid_at=now, expires_at=None)
    paid = _paid_members(team)
    if team.status is not TeamStatus.FORMING:
        # The seat was taken in time, but the team was given up before the money came.
        fail_member(order, now=now)
    elif len(paid) >= team.size:
        _complete(team, paid, now=now)
    else:
        notifications.queue_notice(
            "team_joined", order=order, variables={"joined": len(paid), "size": team.size}, now=now
        )


def lock_sale(order_id: int) -> None:
    """Lock campaign and team of an order, if it has them; they come before it, as when a team is given up."""
    row = session().execute(select(Order.campaign_id, Order.team_id).where(Order.id == order_id)).one()
    if row.campaign_id is not None:
        lock_campaign(row.campaign_id)
    if row.team_id is not None:
        _lock_team(row.team_id)


def _lock_team(team_id: int) -> Team:
    return (
        session()
        .execute(
            select(Team)
            .where(Team.id == team_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        .scalar_one()
    )


def _paid_members(team: Team) -> list[Order]:
    rows = session().scalars(
        select(Order).where(Order.team_id == team.id, Order.status == OrderStatus.FORMING).order_by(Order.id)
    )
    return list(rows.all())


def _complete(team: Team, members: list[Order], *, now: datetime) -> None:
    team.status = TeamStatus.COMPLETE
    for order in members:
        move_order(order, "team_full", OrderStatus.ISSUED, actor=SYSTEM, now=now)
        issue_vouchers(order, actor=SYSTEM, now=now)
        notifications.queue_notice(
            "team_complete", order=order, variables={"joined": team.size, "size": team.size}, now=now
        )


def fail_member(order: Order, *, now: datetime) -> None:
    """Refund a paid member of a team that was not filled in time; the caller holds the order's lock."""
    give_back(order)
    drop_open_request(order, actor=SYSTEM, now=now)
    move_order(order, "team_failed", OrderStatus.REFUNDING, actor=SYSTEM, now=now)
    amount_fen = refunds.refundable_fen(order)
    refunds.refund_order(order, amount_fen, reason="team_failed", actor=SYSTEM, now=now)
    if amount_fen == 0:
        # A seat that cost nothing has no refund whose end could finish the order.
        move_order(order, "refund_done", OrderStatus.REFUNDED, actor=SYSTEM, now=now, finished_at=now)
    notifications.queue_notice("team_failed", order=order, now=now)


def issue_vouchers(order: Order, *, actor: Actor, now: datetime) -> None:
    """Save one voucher for each piece bought, under the terms of the purchase."""
    campaign = order.campaign
    assert campaign is not None and order.customer_id is not None
    frozen = order.policy or frozen_terms(campaign)
    valid_until_at = _valid_until(frozen, now)
    for _ in range(order.quantity):
        code = new_code()
        session().add(
            Voucher(
                code=code,
                code_hash=code_hash(code),
                code_tail=code[-4:],
                order_id=order.id,
                customer_id=order.customer_id,
                campaign_id=campaign.id,
                status=VoucherStatus.ISSUED,
                terms=frozen["terms"],
                price_fen=order.total_fen // order.quantity,
                # Desks redeem from the full minute: what was bought a moment ago is good at once.
                valid_from_at=floor_minute(now),
                valid_until_at=valid_until_at,
                issued_at=now,
            )
        )
    session().flush()
    record_event(order, "issue", actor=actor, now=now)
    notifications.queue_notice(
        "voucher_issued",
        order=order,
        variables={"campaign": campaign.title, "code_tail": code[-4:], "valid_until": valid_until_at},
        now=now,
    )


def frozen_terms(campaign: Campaign) -> dict[str, Any]:
    """Return what an order keeps of its campaign, which may be edited before the vouchers are issued."""
    until_at = campaign.valid_until_at
    return {
        "terms": stored_terms(campaign),
        "valid_days": campaign.valid_days,
        "valid_until_at": until_at and until_at.isoformat(),
    }


def _valid_until(frozen: dict[str, Any], now: datetime) -> datetime:
    ends = [datetime.fromisoformat(frozen["valid_until_at"])] if frozen["valid_until_at"] else []
    if frozen["valid_days"] is not None:
        ends.append(now + timedelta(days=frozen["valid_days"]))
    # A sale on the very last day still leaves the buyer a day.
    return max(min(ends), now + timedelta(days=1))


def give_back(order: Order, quantity: int | None = None) -> None:
    """Return the stock, the limit and the seat of an order that is not paid or is refunded.

    Without a quantity of all its pieces.
    """
    returned = order.quantity if quantity is None else quantity
    change_rows(
        update(Campaign)
        .where(Campaign.id == order.campaign_id)
        .values(sold_count=Campaign.sold_count - returned, updated_at=Campaign.updated_at)
    )
    change_rows(
        update(CampaignBuyer)
        .where(CampaignBuyer.campaign_id == order.campaign_id, CampaignBuyer.customer_id == order.customer_id)
        .values(taken_count=CampaignBuyer.taken_count - returned)
    )
    if order.team_id is not None:
        change_rows(
            update(Team)
            .where(Team.id == order.team_id, Team.status == TeamStatus.FORMING)
            .values(joined_count=Team.joined_count - 1)
        )


def after_redemption(voucher: Voucher, *, actor: Actor, now: datetime) -> None:
    """Count the redemption, and call the order used once none of its vouchers is left to use."""
    campaigns.record_step(voucher.campaign_id, "redeem", customer_id=voucher.customer_id, now=now)
    order = lock_order(voucher.order_id)
    if order.status is OrderStatus.ISSUED and _count(order, USABLE) == 0:
        drop_open_request(order, actor=actor, now=now)
        move_order(order, "redeem", OrderStatus.USED, actor=actor, now=now, finished_at=now)


def after_reversal(order: Order, *, actor: Actor, now: datetime) -> None:
    """A voucher of a locked order is good again: the order is no longer used up."""
    if order.status is OrderStatus.USED:
        move_order(order, "reverse", OrderStatus.ISSUED, actor=actor, now=now, finished_at=None)


def _count(order: Order, statuses: tuple[VoucherStatus, ...]) -> int:
    query = select(func.count(Voucher.id)).where(Voucher.order_id == order.id, Voucher.status.in_(statuses))
    return session().scalar(query) or 0


def status_after_refund(order: Order, *, now: datetime) -> OrderStatus:
    """Return where a group-buy order goes when its refunds are done, after closing the refunded vouchers."""
    change_rows(
        update(Voucher)
        .where(Voucher.order_id == order.id, Voucher.status == VoucherStatus.REFUNDING)
        .values(status=VoucherStatus.REFUNDED)
    )
    if _count(order, USABLE):
        return OrderStatus.ISSUED
    return OrderStatus.USED if _count(order, (VoucherStatus.REDEEMED,)) else OrderStatus.REFUNDED
