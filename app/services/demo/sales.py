"""Group-buy orders of the example history: bought alone or in teams, paid or not, and their vouchers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from app.domain.actor import PAYMENT_SERVICE, SYSTEM, Actor, customer_actor
from app.domain.pricing import LineKind, QuoteLine, Totals
from app.domain.slots import local_instant
from app.domain.states import OrderKind, OrderStatus, PaymentChannel, TeamStatus, VoucherStatus
from app.domain.voucher_codes import new_code
from app.models import Campaign, OrderSource
from app.services.demo.calendar import HISTORY_DAYS, START_HOURS, WEEKDAY_HOURS, poisson
from app.services.demo.campaigns import DemoCampaign
from app.services.demo.ledger import HOLD, ZONE, Draft, TeamDraft, number
from app.services.demo.people import Guest, pick_guest
from app.services.demo.vouchers import VoucherDraft
from app.services.group_orders import frozen_terms
from app.services.unit_of_work import session

UNPAID_SHARE, REFUND_SHARE, TWO_SHARE, TEAM_SHARE = 0.07, 0.04, 0.2, 0.85


@dataclass
class Sales:
    """Everything that was sold, and how many each customer took of each campaign."""

    orders: list[Draft] = field(default_factory=list)
    vouchers: list[VoucherDraft] = field(default_factory=list)
    taken: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def open_vouchers(self) -> list[VoucherDraft]:
        """The vouchers that may still be used."""
        return [voucher for voucher in self.vouchers if voucher.status is VoucherStatus.ISSUED]


@dataclass(frozen=True)
class _Purchase:
    """One customer who buys so many at a time."""

    guest: Guest
    quantity: int
    at: datetime
    rng: Random


def sell(
    campaigns: list[DemoCampaign], guests: list[Guest], reviewer: Actor, *, today: date, now: datetime
) -> Sales:
    """Return the sales of all campaigns up to now; *reviewer* approves the refunds of unused vouchers."""
    sales = Sales()
    for campaign in campaigns:
        counter = _Counter(campaign, sales, reviewer, now)
        for offset in range(-HISTORY_DAYS, 1):
            if campaign.daily and campaign.is_on_sale(offset):
                counter.open_day(today + timedelta(days=offset), guests, today)
    return sales


class _Counter:
    """Sells one campaign day by day."""

    def __init__(self, campaign: DemoCampaign, sales: Sales, reviewer: Actor, now: datetime) -> None:
        self._campaign, self._sales, self._reviewer, self._now = campaign, sales, reviewer, now
        row = session().get_one(Campaign, campaign.id)
        self._frozen = frozen_terms(row)
        self._store_id = row.stores[0].id if len(row.stores) == 1 else None

    def open_day(self, on: date, guests: list[Guest], today: date) -> None:
        """Sell what is sold on one day."""
        key = f"{today}:{self._campaign.slug}:{on}"
        for index in range(poisson(Random(f"sales:{key}"), self._campaign.daily)):
            rng = Random(f"sale:{key}:{index}")
            minute = rng.choices(START_HOURS, WEEKDAY_HOURS)[0] * 60 + rng.randrange(60)
            at = local_instant(on, minute, ZONE) + timedelta(seconds=rng.randrange(60))
            if self._campaign.team_size == 1:
                self._sell_alone(guests, at, rng)
            else:
                self._sell_team(guests, at, rng)

    def _sell_alone(self, guests: list[Guest], at: datetime, rng: Random) -> None:
        quantity = 2 if rng.random() < TWO_SHARE else 1
        purchase = self._purchase(guests, at, rng, quantity)
        is_unpaid, delay, share = rng.random() < UNPAID_SHARE, rng.randrange(20, 240), rng.random()
        if purchase is None:
            return
        draft = self._create(purchase, None)
        paid_at = at + timedelta(seconds=delay)
        if is_unpaid:
            self._expire_unpaid(draft)
        elif paid_at <= self._now:
            self._settle(draft, OrderStatus.ISSUED, paid_at)
            self._issue(draft, PAYMENT_SERVICE, paid_at)
            if share < REFUND_SHARE:
                self._refund(draft, paid_at + timedelta(days=6 * share / REFUND_SHARE, hours=3))

    def _purchase(self, guests: list[Guest], at: datetime, rng: Random, quantity: int) -> _Purchase | None:
        """Return who buys, or None in the future and for one who has taken all that is allowed."""
        guest = pick_guest(guests, rng, at)
        key = (self._campaign.id, guest.id)
        limit = self._campaign.limit or 100
        if at > self._now or guest.joined_at > at or self._sales.taken[key] + quantity > limit:
            return None
        self._sales.taken[key] += quantity
        return _Purchase(guest, quantity, at, rng)

    def _create(self, purchase: _Purchase, team: TeamDraft | None) -> Draft:
        campaign, guest = self._campaign, purchase.guest
        total_fen = campaign.price_yuan * 100 * purchase.quantity
        draft = Draft(
            no=number("G", purchase.at, purchase.rng),
            kind=OrderKind.GROUP_BUY,
            status=OrderStatus.PENDING_PAYMENT,
            source=OrderSource.MINI_PROGRAM,
            guest=guest,
            store_id=self._store_id,
            totals=Totals(total_fen, 0, 0, total_fen),
            created_at=purchase.at,
            rng=purchase.rng,
            team=team,
        )
        expires_at = purchase.at + HOLD
        draft.values = {
            "campaign_id": campaign.id,
            "quantity": purchase.quantity,
            "policy": self._frozen,
            "expires_at": expires_at,
        }
        line = QuoteLine(LineKind.PACKAGE, campaign.title, total_fen, unit_fen=campaign.price_yuan * 100)
        draft.add_lines((line,), {})
        buyer = customer_actor(guest.id, guest.nickname)
        draft.record("create", buyer, purchase.at, target=OrderStatus.PENDING_PAYMENT)
        self._sales.orders.append(draft)
        return draft

    def _settle(self, draft: Draft, status: OrderStatus, at: datetime) -> None:
        draft.pay(at, PaymentChannel.WECHAT_JSAPI)
        draft.move("pay", status, PAYMENT_SERVICE, at, paid_at=at, expires_at=None)

    def _expire_unpaid(self, draft: Draft) -> None:
        at = draft.created_at + HOLD + timedelta(seconds=draft.rng.randrange(5, 55))
        if at <= self._now:
            draft.move("expire", OrderStatus.CANCELLED, SYSTEM, at, finished_at=at)
            self._give_back(draft)

    def _give_back(self, draft: Draft) -> None:
        assert draft.guest is not None
        self._sales.taken[self._campaign.id, draft.guest.id] -= draft.values["quantity"]

    def _issue(self, draft: Draft, actor: Actor, at: datetime) -> None:
        assert draft.guest is not None
        for _ in range(draft.values["quantity"]):
            voucher = VoucherDraft(
                code=new_code(draft.rng.choice),
                sale=draft,
                guest=draft.guest,
                campaign=self._campaign,
                terms=self._frozen["terms"],
                issued_at=at,
                valid_until_at=at + timedelta(days=self._campaign.valid_days),
            )
            draft.vouchers.append(voucher)
            self._sales.vouchers.append(voucher)
        draft.record("issue", actor, at)

    def _refund(self, draft: Draft, at: datetime) -> None:
        """Take all vouchers of an order back before any was used."""
        if at > self._now:
            return
        draft.move("refund_approve", OrderStatus.REFUNDING, self._reviewer, at, reason="行程有变")
        draft.refund(draft.paid_fen, self._reviewer, at, self._now, reason="行程有变")
        for voucher in draft.vouchers:
            voucher.status = VoucherStatus.REFUNDED

    def _sell_team(self, guests: list[Guest], at: datetime, rng: Random) -> None:
        size = self._campaign.team_size
        seats = size if rng.random() < TEAM_SHARE else rng.randrange(1, size)
        starter = self._purchase(guests, at, rng, 1)
        if starter is None:
            return
        deadline = at + timedelta(minutes=self._campaign.team_minutes)
        team = TeamDraft(self._team_values(at, deadline, rng), starter.guest)
        members = [self._create(starter, team)]
        for other in self._joiners(guests, starter, seats - 1, rng):
            members.append(self._create(other, team))
        team.values["joined_count"] = len(members)
        paid = [member for member in members if self._pay_into_team(member)]
        if len(paid) == size:
            self._complete(team, paid, paid[-1].values["paid_at"])
        elif deadline <= self._now:
            self._fail(team, paid, deadline + timedelta(seconds=30))

    def _team_values(self, at: datetime, deadline: datetime, rng: Random) -> dict[str, object]:
        return {
            "no": number("T", at, rng),
            "campaign_id": self._campaign.id,
            "size": self._campaign.team_size,
            "status": TeamStatus.FORMING,
            "created_at": at,
            "expires_at": deadline,
        }

    def _joiners(
        self, guests: list[Guest], starter: _Purchase, count: int, rng: Random
    ) -> Iterator[_Purchase]:
        """Yield friends who join one after the other in the hours that follow."""
        at, members = starter.at, {starter.guest.nickname}
        for _ in range(count):
            at += timedelta(minutes=rng.randrange(8, 600), seconds=rng.randrange(60))
            own = Random(f"{rng.random()}")
            friends = [guest for guest in guests if guest.nickname not in members]
            joiner = self._purchase(friends, at, own, 1)
            if joiner is not None:
                members.add(joiner.guest.nickname)
                yield joiner

    def _pay_into_team(self, draft: Draft) -> bool:
        at = draft.created_at + timedelta(seconds=draft.rng.randrange(20, 200))
        if at > self._now:
            return False
        self._settle(draft, OrderStatus.FORMING, at)
        return True

    def _complete(self, team: TeamDraft, members: list[Draft], at: datetime) -> None:
        team.values["status"] = TeamStatus.COMPLETE
        for draft in members:
            draft.move("team_full", OrderStatus.ISSUED, SYSTEM, at)
            self._issue(draft, SYSTEM, at)

    def _fail(self, team: TeamDraft, members: list[Draft], at: datetime) -> None:
        team.values["status"] = TeamStatus.FAILED
        for draft in members:
            draft.move("team_failed", OrderStatus.REFUNDING, SYSTEM, at)
            draft.refund(draft.paid_fen, SYSTEM, at, self._now, reason="team_failed")
            self._give_back(draft)
