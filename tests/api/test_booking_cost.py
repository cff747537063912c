"""What a booking asks of the database, and that its answer is the order as anybody reads it afterwards."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, update

from app.extensions import db
from app.models import BookingPolicy, BookingSession, DiscountRule, Room
from tests import factories
from tests.api.conftest import Clock, Headers, LogIn, pay_group_order
from tests.api.contract import ContractClient

PATH = "/api/v1/bookings"
START, END = "2026-03-04T18:00:00+08:00", "2026-03-04T20:00:00+08:00"
ANOTHER_DAY = {"start_at": "2026-03-05T18:00:00+08:00", "end_at": "2026-03-05T20:00:00+08:00"}
# The messages that PostgreSQL answers, in the log of its client library.
SENT = re.compile(r"\tF\t\d+\t(Query|Sync)")
Prepare = Callable[[Room], dict[str, Any]]


@contextmanager
def wire() -> Iterator[list[str]]:
    """Collect what the driver sends and waits for: on PostgreSQL each message, on SQLite each statement."""
    seen: list[str] = []
    drivers: list[Any] = []
    is_postgresql = db.engine.dialect.name == "postgresql"
    with tempfile.TemporaryFile("w+") as log:

        def note(statement: str) -> None:
            # What triggers do is told as a comment.
            if not statement.startswith("--"):
                seen.append(statement)

        def listen(driver: Any, _record: object, _proxy: object) -> None:
            drivers.append(driver)
            if is_postgresql:
                driver.pgconn.trace(log.fileno())
            else:
                driver.set_trace_callback(note)

        db.session.remove()
        event.listen(db.engine, "checkout", listen)
        try:
            yield seen
        finally:
            event.remove(db.engine, "checkout", listen)
            for driver in drivers:
                driver.pgconn.untrace() if is_postgresql else driver.set_trace_callback(None)
        log.seek(0)
        seen += [line for line in log if SENT.search(line)]


def _body(room: Room, **changes: Any) -> dict[str, Any]:
    return {"room_id": str(room.id), "start_at": START, "end_at": END} | changes


def _keyed(headers: Headers, key: str) -> Headers:
    return headers | {"Idempotency-Key": key}


def _warm(api: ContractClient, headers: Headers, room: Room) -> None:
    """Fill what is kept in the process: how the store is configured, and every statement once compiled."""
    for key in ("warm 1", "warm 2"):
        api.post(PATH, json=_body(room, **ANOTHER_DAY), headers=_keyed(headers, key))


def _cost(api: ContractClient, headers: Headers, body: dict[str, Any], status: int) -> int:
    with wire() as asked:
        answer = api.post(PATH, json=body, headers=_keyed(headers, "k"))
    assert answer.status_code == status
    return len(asked)


# The login and the version of the store's rules; BEGIN, the locks, what decides, one statement that writes
# everything, COMMIT. SQLite, to which nothing travels, also frames its reads and writes table by table; it
# tells of the booking twice, the second time for its trigger.
CREATED = {"postgresql": 7, "sqlite": 15}
# The same up to what decides, and ROLLBACK; then the neighbourhood, and the answer that is kept.
TAKEN = {"postgresql": 8, "sqlite": 12}
# Nothing is locked for what the rules refuse.
REFUSED = {"postgresql": 4, "sqlite": 6}
# What decides includes what is kept, and nothing is written again.
REPEATED = {"postgresql": 6, "sqlite": 8}


def test_cost_of_a_booking(api: ContractClient, log_in: LogIn) -> None:
    room, headers = factories.make_room(), log_in()
    _warm(api, headers, room)

    assert _cost(api, headers, _body(room), 201) == CREATED[db.engine.dialect.name]


def test_cost_of_a_refusal(api: ContractClient, log_in: LogIn) -> None:
    room, headers = factories.make_room(), log_in()
    _warm(api, headers, room)
    api.post(PATH, json=_body(room), headers=log_in())

    assert _cost(api, headers, _body(room), 409) == TAKEN[db.engine.dialect.name]
    off_step = _body(room, start_at="2026-03-04T18:10:00+08:00")
    with wire() as asked:
        assert api.post(PATH, json=off_step, headers=_keyed(headers, "off")).status_code == 422
    assert len(asked) == REFUSED[db.engine.dialect.name]


def test_cost_of_a_repetition(api: ContractClient, log_in: LogIn) -> None:
    room, headers = factories.make_room(), log_in()
    _warm(api, headers, room)
    _cost(api, headers, _body(room), 201)

    assert _cost(api, headers, _body(room), 201) == REPEATED[db.engine.dialect.name]


def _nothing_more(_room: Room) -> dict[str, Any]:
    return {}


def _noted(_room: Room) -> dict[str, Any]:
    return {"note": "靠窗 \"'\\"}


def _over_two_prices(room: Room) -> dict[str, Any]:
    factories.make_price(room.store, 8000, priority=5, band_start_minute=1140, band_end_minute=0)
    return {}


def _discounted(room: Room) -> dict[str, Any]:
    rule = DiscountRule(name="新客", off_percent=20, first_order_only=True, store_id=room.store_id)
    db.session.add(rule)
    db.session.commit()
    return {}


def _in_session(room: Room) -> dict[str, Any]:
    evening = BookingSession(store_id=room.store_id, name="晚场", start_minute=1080, length_minutes=240)
    db.session.add(evening)
    db.session.commit()
    factories.make_price(room.store, 9900, kind="session", session_id=evening.id)
    return {"session_id": str(evening.id), "end_at": None}


def _confirmed_by_hand(room: Room) -> dict[str, Any]:
    db.session.execute(update(BookingPolicy).values(requires_confirmation=True))
    db.session.commit()
    return {}


def _for_nothing(room: Room) -> dict[str, Any]:
    factories.make_price(room.store, 0, priority=9)
    return {}


KINDS = [
    ("plain", _nothing_more, "pending_payment"),
    ("with a note", _noted, "pending_payment"),
    ("over two prices", _over_two_prices, "pending_payment"),
    ("with a discount", _discounted, "pending_payment"),
    ("in a session", _in_session, "pending_payment"),
    ("to be confirmed by hand", _confirmed_by_hand, "pending_payment"),
    ("for nothing", _for_nothing, "awaiting_use"),
]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize(("label", "prepare", "status"), KINDS, ids=[row[0] for row in KINDS])
def test_answer_is_the_order_as_it_is_read_afterwards(
    api: ContractClient, log_in: LogIn, label: str, prepare: Prepare, status: str, language: str
) -> None:
    room, headers = factories.make_room(), log_in() | {"Accept-Language": language}
    body = _body(room) | prepare(room)

    made = api.post(PATH, json=body, headers=_keyed(headers, "k"))

    assert (made.status_code, made.json["status"]) == (201, status)
    assert api.get(f"/api/v1/orders/{made.json['no']}", headers=headers).data == made.data
    assert api.post(PATH, json=body, headers=_keyed(headers, "k")).data == made.data
    without_key = api.post(PATH, json=_body(room, **ANOTHER_DAY), headers=headers)
    assert api.get(f"/api/v1/orders/{without_key.json['no']}", headers=headers).data == without_key.data


def test_booking_that_a_voucher_pays_is_answered_as_it_is_read(
    api: ContractClient, log_in: LogIn, clock: Clock
) -> None:
    room, customer = factories.make_room(), factories.make_customer()
    headers = log_in(customer)
    campaign = factories.make_campaign(room.store, package_minutes=120)
    bought = api.post(f"/api/v1/campaigns/{campaign.id}/orders", json={"quantity": 1}, headers=headers)
    pay_group_order(bought.json["no"], now=clock.now)
    (voucher,) = api.get("/api/v1/vouchers", headers=headers).json["items"]

    body = _body(room, voucher_code=voucher["code"])
    made = api.post(PATH, json=body, headers=_keyed(headers, "k"))

    assert (made.status_code, made.json["status"], made.json["total_fen"]) == (201, "awaiting_use", 0)
    assert [item["status"] for item in made.json["vouchers"]] == ["locked"]
    assert api.get(f"/api/v1/orders/{made.json['no']}", headers=headers).data == made.data
    assert api.post(PATH, json=body, headers=_keyed(headers, "k")).data == made.data
