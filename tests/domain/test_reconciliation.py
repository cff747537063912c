"""Bills against books: every kind of difference, sums of both sides, days and their edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.domain.reconciliation import (
    EDGE,
    BillEntry,
    Booked,
    Books,
    Difference,
    Side,
    Sums,
    bill_date,
    billed_span,
    compare,
    may_still_come,
    ready_at,
    repeated_keys,
    sum_up,
)
from app.domain.states import DifferenceKind as Kind

AT = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
DAY = date(2026, 11, 21)
PAID = BillEntry("payment", "P1", None, "T1", 12800, 77, AT)
BACK = BillEntry("refund", "P1", "R1", "T1", 6400, -38, AT)
OUR_PAID = Booked(1, "payment", "P1", 12800, True, 10, 3, "T1")
OUR_BACK = Booked(2, "refund", "R1", 6400, True, 10, 3, "T1")


def books(*known: Booked, missing: tuple[Booked, ...] = ()) -> Books:
    return Books({each.key: each for each in known}, missing)


def differing(kind: Kind, **values: Any) -> Difference:
    return replace(Difference(kind, "P1", "T1", 12800, 12800, 10, AT), **values)


CASES = [
    ("all the same", [PAID, BACK], books(OUR_PAID, OUR_BACK), []),
    ("nothing on either side", [], books(), []),
    ("unknown payment", [PAID], books(), [differing(Kind.MISSING_HERE, here_fen=None, order_id=None)]),
    (
        "missing in the bill",
        [],
        books(missing=(OUR_PAID,)),
        [differing(Kind.MISSING_THERE, there_fen=None, settled_at=None)],
    ),
    (
        "one fen more",
        [replace(PAID, amount_fen=12801)],
        books(OUR_PAID),
        [differing(Kind.AMOUNT_DIFFERS, there_fen=12801)],
    ),
    ("not booked", [PAID], books(replace(OUR_PAID, is_settled=False)), [differing(Kind.STATUS_DIFFERS)]),
    (
        "another transaction under our number",
        [PAID],
        books(replace(OUR_PAID, transaction_no="T9")),
        [differing(Kind.STATUS_DIFFERS)],
    ),
    (
        "another amount and not booked is told once",
        [replace(PAID, amount_fen=1)],
        books(replace(OUR_PAID, is_settled=False)),
        [differing(Kind.AMOUNT_DIFFERS, there_fen=1)],
    ),
    (
        "refund by hand",
        [BACK],
        books(OUR_PAID),
        [differing(Kind.REFUND_MISSING_HERE, number="R1", here_fen=None, there_fen=6400)],
    ),
    (
        "refund of a payment that nobody knows",
        [BACK],
        books(),
        [differing(Kind.REFUND_MISSING_HERE, number="R1", here_fen=None, there_fen=6400, order_id=None)],
    ),
    (
        "refunds by hand without numbers are told apart",
        [replace(BACK, refund_no=None), replace(BACK, refund_no=None, amount_fen=1)],
        books(OUR_PAID),
        [
            differing(Kind.REFUND_MISSING_HERE, number="T1", here_fen=None, there_fen=6400),
            differing(Kind.REFUND_MISSING_HERE, number="T1#2", here_fen=None, there_fen=1),
        ],
    ),
    (
        "refund missing in the bill",
        [PAID],
        books(OUR_PAID, missing=(OUR_BACK,)),
        [differing(Kind.REFUND_MISSING_THERE, number="R1", here_fen=6400, there_fen=None, settled_at=None)],
    ),
    (
        "refund with another amount",
        [replace(BACK, amount_fen=6399)],
        books(OUR_BACK),
        [differing(Kind.REFUND_AMOUNT_DIFFERS, number="R1", here_fen=6400, there_fen=6399)],
    ),
    (
        "refund has arrived, stuck here",
        [BACK],
        books(replace(OUR_BACK, is_settled=False)),
        [differing(Kind.REFUND_STATUS_DIFFERS, number="R1", here_fen=6400, there_fen=6400)],
    ),
    (
        "refund has failed, booked here",
        [replace(BACK, status="failed")],
        books(OUR_BACK),
        [differing(Kind.REFUND_STATUS_DIFFERS, number="R1", here_fen=6400, there_fen=6400)],
    ),
    (
        "refund has failed on both sides",
        [replace(BACK, status="failed")],
        books(replace(OUR_BACK, is_settled=False)),
        [],
    ),
    ("failed refund that nobody knows", [replace(BACK, status="failed")], books(OUR_PAID), []),
    ("refund under way there", [replace(BACK, status="processing")], books(OUR_BACK), []),
    (
        "refund under way on both sides",
        [replace(BACK, status="processing")],
        books(replace(OUR_BACK, is_settled=False)),
        [],
    ),
]


@pytest.mark.parametrize(("label", "entries", "ours", "found"), CASES, ids=[case[0] for case in CASES])
def test_comparison(label: str, entries: list[BillEntry], ours: Books, found: list[Difference]) -> None:
    assert compare(entries, ours) == found


def test_thousands_of_rows_differ_in_the_one_that_differs() -> None:
    entries = [replace(PAID, payment_no=f"P{number}", transaction_no=f"T{number}") for number in range(5000)]
    ours = [replace(OUR_PAID, number=entry.number, transaction_no=entry.transaction_no) for entry in entries]
    ours[4321] = replace(ours[4321], amount_fen=1)

    assert [each.number for each in compare(entries, books(*ours))] == ["P4321"]


def test_sums_by_store_count_what_has_not_failed() -> None:
    under_way = replace(BACK, refund_no="R2", status="processing", amount_fen=100, fee_fen=0)
    failed = replace(BACK, refund_no="R3", status="failed")
    entries = [PAID, BACK, under_way, failed, replace(PAID, payment_no="P9")]
    open_here = [
        replace(OUR_BACK, number=number, amount_fen=100, is_settled=False) for number in ("R2", "R3")
    ]
    lacking = replace(OUR_PAID, number="P2", store_id=4, amount_fen=5)
    ours = books(OUR_PAID, OUR_BACK, *open_here, missing=(lacking,))

    assert sum_up(entries, ours) == {
        3: Sums(Side(1, 12800, 2, 6500), Side(1, 12800, 2, 6500), 39),
        None: Sums(Side(), Side(1, 12800), 77),
        4: Sums(Side(1, 5), Side()),
    }


def test_what_a_bill_repeats() -> None:
    nameless = replace(BACK, refund_no=None)
    assert repeated_keys([PAID, BACK, nameless, nameless]) == []
    assert repeated_keys([PAID, BACK, PAID, BACK]) == [("payment", "P1"), ("refund", "R1")]


@pytest.mark.parametrize(
    ("at", "on"),
    [
        (datetime(2026, 11, 20, 15, 59, 59, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 11, 20, 16, 0, tzinfo=UTC), date(2026, 11, 21)),
    ],
)
def test_days_are_those_of_china(at: datetime, on: date) -> None:
    assert bill_date(at) == on


def test_what_is_settled_just_before_midnight_may_be_in_the_next_bill() -> None:
    span = billed_span(DAY)
    midnight = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
    assert (span.start_at, span.end_at) == (midnight - EDGE, midnight + timedelta(days=1) - EDGE)


MORNING = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("label", "now", "has_business", "may"),
    [
        ("before ten", MORNING - timedelta(seconds=1), False, True),
        ("from ten on, a quiet day", MORNING, False, False),
        ("from ten on, money was taken", MORNING, True, True),
        ("a day later", MORNING + timedelta(days=1), True, False),
    ],
)
def test_how_long_a_bill_may_be_late(label: str, now: datetime, has_business: bool, may: bool) -> None:
    assert ready_at(DAY) == MORNING
    assert may_still_come(DAY, has_business=has_business, now=now) is may
