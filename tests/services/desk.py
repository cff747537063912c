"""A cashier with an open shift, and the everyday moves of money over the counter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.actor import Actor
from app.models import CounterEntry, Shift
from app.services import counter, shifts
from tests.services.shop import Shop

FLOAT_FEN = 50000
CASH, POS = "counter_cash", "counter_pos"


def slip(reference_no: str = "603041200123", **changes: str) -> dict[str, str]:
    """The parts of a slip of the card terminal."""
    return {"terminal_no": "80012345", "reference_no": reference_no, "card_tail": "6789"} | changes


@dataclass
class Desk:
    """The counter of a shop and the cashier behind it."""

    shop: Shop
    cashier: Actor
    shift_id: int = 0

    @classmethod
    def open(cls, shop: Shop, username: str = "cashier") -> Desk:
        """A desk whose cashier has opened a shift with ¥500 in the drawer."""
        desk = cls(shop, shop.cashier(username=username))
        desk.shift_id = shifts.open_shift(
            shop.store.id, float_fen=FLOAT_FEN, actor=desk.cashier, now=shop.now
        )
        return desk

    def take(
        self, no: str, channel: str = CASH, *, at: datetime | None = None, **values: Any
    ) -> dict[str, Any]:
        """Take what an order owes."""
        parts = slip() if channel == POS else {}
        tender = counter.read_tender(parts | {"channel": channel} | values)
        return counter.take_payment(no, tender, actor=self.cashier, now=at or self.shop.now)

    def hand_out(self, refund_no: str, *, at: datetime | None = None, **values: Any) -> dict[str, Any]:
        """Hand out a refund."""
        return counter.hand_out_refund(refund_no, values, actor=self.cashier, now=at or self.shop.now)

    def close(self, cash_fen: int, pos_fen: int = 0, *, at: datetime | None = None, **values: Any) -> Any:
        """Close the cashier's own shift."""
        counted = {"counted_cash_fen": cash_fen, "counted_pos_fen": pos_fen} | values
        return shifts.close_shift(
            self.shift_id, counted, is_overseer=False, actor=self.cashier, now=at or self.shop.now
        )

    def shift(self) -> Shift:
        return next(row for row in self.shop.rows(Shift) if row.id == self.shift_id)

    def entries(self) -> list[CounterEntry]:
        return self.shop.rows(CounterEntry)
