"""Notices: who is told what by which row, the customer's inbox, consents and templates."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select

from app.domain import notices
from app.domain.errors import InvalidField, NotFound
from app.domain.states import BookingState, NotificationChannel, NotificationStatus, OrderKind, OrderStatus
from app.extensions import db
from app.models import Booking, MessageConsent, Notification, NotificationTemplate, Order, Recipient
from app.services import notifications, queue
from app.services.unit_of_work import run_in_transaction
from tests.factories import make_customer, make_room, make_store

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Whatever was handed to the workers after a commit."""
    jobs: list[tuple[Any, ...]] = []
    monkeypatch.setattr(queue, "_enqueue_now", lambda job, args: jobs.append((job, *args)))
    return jobs


def make_order(now: datetime, **values: Any) -> Order:
    """An unpaid booking order of ¥120 for tomorrow 12:00 to 15:00, room and customer included."""
    room = make_room()
    booked = {"start_at": now + timedelta(days=1), "end_at": now + timedelta(days=1, hours=3)}
    booked |= {key: values.pop(key) for key in ("start_at", "end_at") if key in values}
    values = {
        "no": "B20260304001",
        "kind": OrderKind.BOOKING,
        "status": OrderStatus.PENDING_PAYMENT,
        "customer_id": values.pop("customer_id", None) or make_customer().id,
        "store_id": room.store_id,
        "base_fen": 12000,
        "total_fen": 12000,
        "created_at": now,
        "expires_at": now + timedelta(minutes=15),
    } | values
    order = Order(**values)
    db.session.add(order)
    db.session.flush()
    busy = {"busy_from_at": booked["start_at"], "busy_until_at": booked["end_at"]}
    places = {"order_id": order.id, "store_id": room.store_id, "room_id": room.id}
    db.session.add(Booking(state=BookingState.HELD, created_at=now, **places, **booked, **busy))
    db.session.commit()
    return order


def sent() -> list[Notification]:
    db.session.expire_all()
    return list(db.session.scalars(select(Notification).order_by(Notification.id)))


def approve(event: str, **values: Any) -> None:
    """Give an event's WeChat templates an id at the service."""
    for template in db.session.scalars(
        select(NotificationTemplate).where(
            NotificationTemplate.event == event, NotificationTemplate.channel == NotificationChannel.WECHAT
        )
    ):
        template.provider_template = "tmpl-1"
        for name, value in values.items():
            setattr(template, name, value)
    db.session.commit()


def test_catalogue_has_words_in_every_language() -> None:
    missing = []
    for event in notices.NOTICES:
        recipients = notices.recipients_of(event)
        if not recipients:
            missing.append((event, "nobody"))
    for template in notices.default_templates():
        if not template.title or not template.body:
            missing.append((template.event, template.language))
        for text in (template.title, template.body, *template.fields.values()):
            unknown = set(notices._VARIABLE.findall(text)) - set(notices.VARIABLES)
            assert not unknown, (template.event, template.language, unknown)
    assert missing == []


@pytest.mark.parametrize(
    ("event", "paid_at_offset", "told"),
    [
        pytest.param("order_created", None, {"customer"}, id="created: the customer"),
        pytest.param("order_paid", 0, {"customer", "shop"}, id="paid: both"),
        pytest.param("booking_started", 0, {"shop"}, id="started: the shop"),
        pytest.param("refund_abnormal", 0, {"shop"}, id="abnormal refund: the shop"),
        pytest.param("order_cancelled", None, {"customer"}, id="cancelled unpaid: the shop never knew it"),
        pytest.param("order_cancelled", 0, {"customer", "shop"}, id="cancelled after payment: both"),
    ],
)
def test_queue_notice_tells(now: datetime, event: str, paid_at_offset: int | None, told: set[str]) -> None:
    paid_at = None if paid_at_offset is None else now
    order = make_order(now, paid_at=paid_at)
    notifications.queue_notice(event, order=order, now=now)
    assert {row.recipient.value for row in sent()} == told
    assert {row.store_id for row in sent()} == {order.store_id}
    assert {row.status for row in sent()} == {NotificationStatus.SENT}


def test_queue_notice_writes_words_in_the_customers_language_and_the_stores_time(now: datetime) -> None:
    order = make_order(now, customer_id=make_customer(language="en").id)
    notifications.seed_templates(now=now)
    notifications.queue_notice("booking_confirmed", order=order, now=now)
    (message,) = sent()
    store, room = order.store.name, order.bookings[0].room.name
    assert message.title == "Booking confirmed"
    assert message.body == f"{store} {room} is yours from 2026-03-05 12:00 to 15:00. Order {order.no}."


def test_queue_notice_dates_an_end_on_another_day(now: datetime) -> None:
    order = make_order(now, start_at=now + timedelta(hours=10), end_at=now + timedelta(hours=14))
    notifications.queue_notice("booking_confirmed", order=order, now=now)
    assert "2026-03-04 22:00 至 2026-03-05 02:00" in sent()[0].body


def test_queue_notice_writes_amounts_of_fen(now: datetime) -> None:
    notifications.queue_notice("refund_started", order=make_order(now), variables={"amount": 123456}, now=now)
    assert "¥1,234.56" in sent()[0].body


def test_queue_notice_twice_is_told_once(now: datetime, enqueued: list[tuple[Any, ...]]) -> None:
    order = make_order(now)
    notifications.seed_templates(now=now)
    approve("order_created")
    for _ in range(2):
        notifications.queue_notice("order_created", order=order, now=now)
    notifications.queue_notice("order_created", order=order, occurrence="again", now=now)
    keys = [row.dedupe_key for row in sent()]
    assert len(keys) == len(set(keys)) == 4
    assert len(enqueued) == 2


def test_queue_notice_hands_wechat_messages_to_a_worker_after_commit(
    now: datetime, enqueued: list[tuple[Any, ...]]
) -> None:
    order = make_order(now)
    notifications.seed_templates(now=now)
    approve("order_paid")

    def work() -> None:
        notifications.queue_notice("order_paid", order=order, now=now)
        assert enqueued == []

    run_in_transaction(work)
    (waiting,) = [row for row in sent() if row.channel is NotificationChannel.WECHAT]
    assert waiting.status is NotificationStatus.PENDING
    assert enqueued == [("app.jobs.deliver_notification", waiting.id)]


def test_queue_notice_is_dropped_with_its_transaction(now: datetime, enqueued: list[tuple[Any, ...]]) -> None:
    order = make_order(now)
    notifications.seed_templates(now=now)
    approve("order_paid")

    def work() -> None:
        notifications.queue_notice("order_paid", order=order, now=now)
        raise RuntimeError("undo")

    with pytest.raises(RuntimeError, match="undo"):
        run_in_transaction(work)
    assert sent() == []
    assert enqueued == []


@pytest.mark.parametrize(
    ("changes", "has_identity"),
    [
        pytest.param({"provider_template": ""}, True, id="no id at the service"),
        pytest.param({"is_active": False}, True, id="switched off"),
        pytest.param({}, False, id="customer without WeChat"),
    ],
)
def test_queue_notice_leaves_wechat_out(now: datetime, changes: dict[str, Any], has_identity: bool) -> None:
    order = make_order(now)
    notifications.seed_templates(now=now)
    approve("order_created", **changes)
    if not has_identity:
        db.session.execute(db.text("DELETE FROM customer_identities"))
        db.session.commit()
    notifications.queue_notice("order_created", order=order, now=now)
    assert [row.channel for row in sent()] == [NotificationChannel.IN_APP]


def test_queue_notice_without_a_customer_tells_the_shop_alone(now: datetime) -> None:
    order = make_order(now, paid_at=now)
    order.customer_id = None
    db.session.commit()
    notifications.queue_notice("order_paid", order=order, now=now)
    assert [row.recipient for row in sent()] == [Recipient.SHOP]


def test_queue_notice_costs_two_statements(now: datetime) -> None:
    order = make_order(now)
    notifications.seed_templates(now=now)
    statements: list[str] = []

    def work() -> None:
        assert order.no
        sqlalchemy_event.listen(db.engine, "before_cursor_execute", note)
        notifications.queue_notice("order_paid", order=order, now=now)
        sqlalchemy_event.remove(db.engine, "before_cursor_execute", note)

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    run_in_transaction(work)
    assert [statement.split()[0] for statement in statements] == ["SELECT", "INSERT"]


def test_queue_notice_of_an_unknown_event_is_an_error(now: datetime) -> None:
    with pytest.raises(KeyError):
        notifications.queue_notice("no_such_event", customer_id=1, now=now)


def test_list_messages_pages_newest_first_and_only_ones_own(now: datetime) -> None:
    mine, other = make_customer(), make_customer()
    store = make_store()
    for number in range(5):
        notifications.queue_notice(
            "voucher_expired", customer_id=mine.id, store_id=store.id, occurrence=str(number), now=now
        )
    notifications.queue_notice("voucher_expired", customer_id=other.id, now=now)
    first, cursor = notifications.list_messages(mine.id, limit=3)
    rest, end = notifications.list_messages(mine.id, cursor=cursor, limit=3)
    ids = [row.id for row in first + rest]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(set(ids)) == 5
    assert end is None


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30, "１"])
def test_list_messages_refuses_a_cursor(cursor: str) -> None:
    with pytest.raises(InvalidField) as refused:
        notifications.list_messages(1, cursor=cursor)
    assert list(refused.value.errors or {}) == ["cursor"]


def test_mark_read_keeps_the_first_time(now: datetime) -> None:
    customer = make_customer()
    notifications.queue_notice("voucher_expired", customer_id=customer.id, now=now)
    (message,) = sent()
    for minutes in (1, 2):
        notifications.mark_read(customer.id, message.id, now=now + timedelta(minutes=minutes))
    assert sent()[0].read_at == now + timedelta(minutes=1)


def test_mark_read_of_somebody_elses_message_is_refused(now: datetime) -> None:
    notifications.queue_notice("voucher_expired", customer_id=make_customer().id, now=now)
    (message,) = sent()
    with pytest.raises(NotFound):
        notifications.mark_read(make_customer().id, message.id, now=now)
    assert sent()[0].read_at is None


def test_record_consents_adds_up_and_ends(now: datetime) -> None:
    customer = make_customer()
    notifications.seed_templates(now=now)
    approve("order_paid")

    def consent(answers: dict[str, str]) -> dict[str, int]:
        return notifications.record_consents(customer.id, answers, now=now)

    assert consent({"tmpl-1": "accepted"}) == {"tmpl-1": 1}
    assert consent({"order_paid": "accepted"}) == {"order_paid": 2}
    assert consent({"tmpl-1": "rejected"}) == {"tmpl-1": 0}
    rows = db.session.scalars(select(MessageConsent)).all()
    assert [(row.template, row.credit_count) for row in rows] == [("tmpl-1", 0)]


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param({"order_paid": "maybe"}, id="another answer"),
        pytest.param({"x" * 65: "accepted"}, id="name too long"),
        pytest.param({"": "accepted"}, id="no name"),
        pytest.param({"a\x00b": "accepted"}, id="unprintable name"),
        pytest.param({f"t{number}": "accepted" for number in range(21)}, id="too many"),
    ],
)
def test_record_consents_refuses(now: datetime, answers: dict[str, str]) -> None:
    customer = make_customer()
    with pytest.raises(InvalidField):
        notifications.record_consents(customer.id, answers, now=now)
    assert db.session.scalars(select(MessageConsent)).all() == []


def test_seed_templates_never_overwrites(now: datetime) -> None:
    count = notifications.seed_templates(now=now)
    assert count == len(list(notices.default_templates()))
    approve("order_paid", title="Ours")
    assert notifications.seed_templates(now=now) == 0
    titles = db.session.scalars(
        select(NotificationTemplate.title).where(NotificationTemplate.provider_template == "tmpl-1")
    )
    assert set(titles) == {"Ours"}


def test_name_sandbox_templates_leaves_real_ids_alone(now: datetime) -> None:
    notifications.seed_templates(now=now)
    approve("order_paid")
    notifications.name_sandbox_templates(now=now)
    offered = notifications.list_consent_templates()
    assert offered["order_paid"] == "tmpl-1"
    assert offered["order_created"] == "sandbox-order_created"


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        pytest.param("time1", "{start}", "2026年3月5日 12:00", id="time in the service's spelling"),
        pytest.param("thing1", "{room}", "—", id="a thing is never empty"),
        pytest.param("thing1", "{store}{start.year}", "雀坊{start.year}", id="only names in braces"),
        pytest.param("amount1", "{amount}", "¥60.00", id="amount as it is"),
    ],
)
def test_render_field(key: str, text: str, expected: str) -> None:
    variables = {"start": "2026-03-05 12:00", "store": "雀坊", "amount": "¥60.00"}
    assert notices.render_field(key, text, variables) == expected
