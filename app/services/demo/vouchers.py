"""Vouchers of the example history: sold, locked, redeemed, reversed, refunded, expired."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from app.domain.actor import SYSTEM, Actor
from app.domain.errors import DomainError
from app.domain.states import OrderStatus, RedemptionMethod, VoucherStatus
from app.domain.voucher_rules import VoucherRoom, check_use, terms_of
from app.services.demo.batch import Row
from app.services.demo.calendar import Visit
from app.services.demo.campaigns import DemoCampaign
from app.services.demo.ledger import Draft
from app.services.demo.people import Guest

DESK_METHODS = (RedemptionMethod.TYPED, RedemptionMethod.SCANNED, RedemptionMethod.PICKED)


@dataclass
class VoucherDraft:
    """A voucher with the order that sold it and what has been done with it so far."""

    code: str
    sale: Draft
    guest: Guest
    campaign: DemoCampaign
    terms: Row
    issued_at: datetime
    valid_until_at: datetime
    status: VoucherStatus = VoucherStatus.ISSUED
    booking: Draft | None = None
    redemptions: list[Row] = field(default_factory=list)
    id: int = 0

    def fits(self, visit: Visit, at: datetime) -> bool:
        """Tell whether the voucher can be put to this use by somebody who asks for it *at* that time."""
        if self.status is not VoucherStatus.ISSUED or self.issued_at >= at:
            return False
        terms = terms_of(self.terms, valid_from_at=self.issued_at, valid_until_at=self.valid_until_at)
        room = VoucherRoom(visit.room.room_id, visit.room.store_id, visit.room.room_type_id)
        try:
            check_use(terms, room, visit.span, now=at, tz=visit.room.tz)
        except DomainError:
            return False
        return True

    def redeem(self, order: Draft, clerk: Actor, at: datetime, rng: Random) -> None:
        """Redeem at the desk into an order that is in use at once."""
        self.booking = order
        self._redeem(order, clerk, at, rng.choices(DESK_METHODS, (5, 4, 1))[0])

    def lock(self, order: Draft) -> None:
        """Lock into a booking of the owner."""
        self.status, self.booking = VoucherStatus.LOCKED, order

    def unlock(self) -> None:
        """Give the voucher back when its booking is cancelled."""
        self.status, self.booking = VoucherStatus.ISSUED, None

    def redeem_locked(self, order: Draft, actor: Actor, at: datetime) -> None:
        """Redeem when the owner of the booking is let in."""
        self._redeem(order, actor, at, RedemptionMethod.SELF)

    def _redeem(self, order: Draft, actor: Actor, at: datetime, method: RedemptionMethod) -> None:
        assert order.booking is not None
        self.status = VoucherStatus.REDEEMED
        self.redemptions.append(
            {
                "order": order,
                "store_id": order.booking["store_id"],
                "room_id": order.booking["room_id"],
                "staff_id": actor.id if actor.is_staff else None,
                "staff_name": actor.name if actor.is_staff else "",
                "method": method,
                "redeemed_at": at,
                "is_reversal": False,
                "reason": "",
            }
        )
        self._close_sale("redeem", actor, at)

    def reverse(self, order: Draft, clerk: Actor, at: datetime, reason: str) -> None:
        """Take the redemption back."""
        done = self.redemptions[-1]
        who = {"staff_id": clerk.id, "staff_name": clerk.name, "redeemed_at": at}
        self.redemptions.append({**done, **who, "is_reversal": True, "reason": reason})
        self.status, self.booking = VoucherStatus.ISSUED, None
        if self.sale.status is OrderStatus.USED:
            self.sale.move("reverse", OrderStatus.ISSUED, clerk, at, finished_at=None)

    def expire(self, at: datetime) -> None:
        """Let an unused voucher run out."""
        self.status = VoucherStatus.EXPIRED
        self._close_sale("expire", SYSTEM, at)

    def _close_sale(self, event: str, actor: Actor, at: datetime) -> None:
        """Without a usable voucher left the sale is used when one was redeemed, else expired."""
        statuses = {voucher.status for voucher in self.sale.vouchers}
        if statuses & {VoucherStatus.ISSUED, VoucherStatus.LOCKED}:
            return
        if VoucherStatus.REDEEMED in statuses:
            self.sale.move("redeem", OrderStatus.USED, actor, at, finished_at=at)
        else:
            self.sale.move(event, OrderStatus.EXPIRED, actor, at, finished_at=at)


class Pool:
    """The vouchers that wait to be used, oldest first."""

    def __init__(self, vouchers: list[VoucherDraft]) -> None:
        self._by_campaign: dict[int, list[VoucherDraft]] = {}
        for voucher in sorted(vouchers, key=lambda each: (each.issued_at, each.code)):
            self._by_campaign.setdefault(voucher.campaign.id, []).append(voucher)

    def take(self, visit: Visit, at: datetime) -> VoucherDraft | None:
        """Return a voucher that fits the visit and is not on offer any more, or None."""
        assert visit.campaign is not None
        waiting = self._by_campaign.get(visit.campaign.id, [])
        waiting[:] = [voucher for voucher in waiting if voucher.valid_until_at > at]
        fitting = [voucher for voucher in waiting[:40] if voucher.fits(visit, at)]
        if not fitting:
            return None
        chosen = fitting[visit.rng.randrange(min(len(fitting), 12))]
        waiting.remove(chosen)
        return chosen

    def give_back(self, voucher: VoucherDraft) -> None:
        """Offer a voucher again whose use came to nothing."""
        self._by_campaign[voucher.campaign.id].append(voucher)
