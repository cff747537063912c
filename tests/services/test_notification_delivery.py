"""Delivery of the outbox: each answer of the service, leases, back-off, consents, dead letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.actor import NO_STORES
from app.domain.errors import InvalidTransition, NotFound, Unavailable
from app.domain.states import NotificationChannel, NotificationStatus
from app.extensions import db
from app.gateways.ports import GatewayRefused, GatewayUnavailable
from app.models import AuditEntry, MessageConsent, Notification, NotificationTemplate
from app.services import channels, notifications, queue
from app.services import notification_delivery as delivery
from app.services.unit_of_work import session
from tests.factories import make_customer, make_store, staff

pytestmark = pytest.mark.usefixtures("app")
S = NotificationStatus
Answer = Callable[[], None]


class Service:
    """The mini-program platform as far as messages go; `answer` raises or returns."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answer: Answer = lambda: None
        self.was_in_transaction = False

    def send_subscribe_message(
        self, openid: str, template_id: str, page: str, fields: Mapping[str, str]
    ) -> None:
        self.was_in_transaction |= session().in_transaction()
        self.answer()
        self.sent.append({"openid": openid, "template": template_id, "page": page, "fields": dict(fields)})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service behind `channels.mini_program`; nothing is handed to workers meanwhile."""
    service = Service()
    monkeypatch.setattr(channels, "mini_program", lambda: service)
    monkeypatch.setattr(queue, "_enqueue_now", lambda job, args: None)
    return service


def raising(error: Exception) -> Answer:
    def answer() -> None:
        raise error

    return answer


def waiting_message(now: datetime, **values: Any) -> Notification:
    """A WeChat message in the outbox, about an expired voucher."""
    notifications.seed_templates(now=now)
    notifications.name_sandbox_templates(now=now)
    customer, store = make_customer(), make_store()
    notifications.queue_notice(
        "voucher_expired",
        customer_id=customer.id,
        store_id=store.id,
        variables={"campaign": "下午茶", "code_tail": "7K2M", "valid_until": now},
        now=now,
        **values,
    )
    return messages()[-1]


def messages() -> list[Notification]:
    db.session.rollback()
    db.session.expire_all()
    rows = db.session.scalars(select(Notification).order_by(Notification.id))
    return [row for row in rows if row.channel is NotificationChannel.WECHAT]


def credit(customer_id: int | None) -> int | None:
    return db.session.scalar(
        select(MessageConsent.credit_count).where(MessageConsent.customer_id == customer_id)
    )


def give_credit(message: Notification, count: int, now: datetime) -> None:
    template = "sandbox-voucher_expired"
    db.session.add(
        MessageConsent(customer_id=message.customer_id, template=template, credit_count=count, updated_at=now)
    )
    db.session.commit()


def test_deliver_sends_the_templates_fields_outside_any_transaction(now: datetime, service: Service) -> None:
    message = waiting_message(now)
    assert delivery.deliver(message.id, now=now) is True
    (posted,) = service.sent
    assert posted["template"] == "sandbox-voucher_expired"
    assert posted["fields"] == {
        "thing1": "下午茶",
        "character_string2": "7K2M",
        "time3": "2026年3月4日 12:00",
    }
    assert service.was_in_transaction is False
    (row,) = messages()
    assert (row.status, row.sent_at, row.attempt_count, row.last_error) == (S.SENT, now, 1, "")


def test_deliver_twice_sends_once(now: datetime, service: Service) -> None:
    message = waiting_message(now)
    assert [delivery.deliver(message.id, now=now) for _ in range(2)] == [True, False]
    assert len(service.sent) == 1


@pytest.mark.parametrize(
    ("answer", "status", "error", "credit_left"),
    [
        pytest.param(lambda: None, S.SENT, "", 1, id="accepted: one consent less"),
        pytest.param(
            raising(GatewayUnavailable("time-out", outcome_unknown=True)),
            S.SENT,
            "no answer: it may not have arrived",
            1,
            id="no answer: never sent again",
        ),
        pytest.param(
            raising(GatewayUnavailable("refused", outcome_unknown=False)),
            S.FAILED,
            "refused",
            2,
            id="never left: tried again",
        ),
        pytest.param(
            raising(GatewayRefused("-1", "busy", is_retryable=True)), S.FAILED, "-1: busy", 2, id="busy"
        ),
        pytest.param(
            raising(GatewayRefused("47003", "argument invalid")),
            S.DEAD,
            "47003: argument invalid",
            2,
            id="bad value: dead",
        ),
        pytest.param(
            raising(GatewayRefused("43101", "user refuse")), S.EXPIRED, "no consent", 0, id="no consent left"
        ),
        pytest.param(
            raising(Unavailable()), S.FAILED, "the mini-program is not set up", 2, id="not set up: again"
        ),
    ],
)
def test_deliver_judges_the_answer(
    now: datetime, service: Service, answer: Answer, status: S, error: str, credit_left: int
) -> None:
    message = waiting_message(now)
    give_credit(message, 2, now)
    service.answer = answer
    assert delivery.deliver(message.id, now=now) is True
    (row,) = messages()
    assert (row.status, row.last_error) == (status, error)
    assert credit(row.customer_id) == credit_left


def test_refusal_for_want_of_consent_is_remembered(now: datetime, service: Service) -> None:
    message = waiting_message(now)
    service.answer = raising(GatewayRefused("43101", "user refuse"))
    delivery.deliver(message.id, now=now)
    assert credit(message.customer_id) == 0


def test_deliver_without_consent_sends_nothing(now: datetime, service: Service) -> None:
    message = waiting_message(now)
    give_credit(message, 0, now)
    assert delivery.deliver(message.id, now=now) is True
    assert service.sent == []
    assert [(row.status, row.last_error) for row in messages()] == [(S.EXPIRED, "no consent")]


def test_deliver_drops_what_comes_too_late(now: datetime, service: Service) -> None:
    message = waiting_message(now, expires_at=now + timedelta(minutes=5))
    delivery.deliver(message.id, now=now + timedelta(minutes=5))
    assert service.sent == []
    assert [(row.status, row.last_error) for row in messages()] == [(S.EXPIRED, "too late")]


def test_deliver_without_a_template_is_a_dead_letter(now: datetime, service: Service) -> None:
    message = waiting_message(now)
    for template in db.session.scalars(select(NotificationTemplate)):
        template.is_active = False
    db.session.commit()
    delivery.deliver(message.id, now=now)
    assert service.sent == []
    assert [(row.status, row.last_error) for row in messages()] == [(S.DEAD, "no template")]


def test_failures_are_retried_later_and_later_until_given_up(now: datetime, service: Service) -> None:
    message = waiting_message(now)
    service.answer = raising(GatewayRefused("-1", "busy", is_retryable=True))
    at, waits = now, []
    while messages()[0].status is not S.DEAD:
        assert delivery.deliver(message.id, now=at) is True
        due = messages()[0].next_attempt_at
        waits.append((due - at).total_seconds())
        assert delivery.deliver(message.id, now=due - timedelta(seconds=1)) is False
        at = due
    assert len(waits) == delivery.MAX_ATTEMPTS
    assert waits == sorted(waits)
    assert 16 <= waits[0] <= 20
    assert messages()[0].last_error == "given up after 8 tries: -1: busy"


def test_lapsed_lease_is_taken_over_and_the_first_holder_records_nothing(
    now: datetime, service: Service
) -> None:
    message = waiting_message(now)
    first = delivery._lease(message.id, now=now)
    assert isinstance(first, delivery.Parcel)
    lapse = now + timedelta(seconds=delivery.LEASE_SECONDS)
    assert delivery.deliver(message.id, now=lapse - timedelta(seconds=1)) is False
    assert delivery.deliver(message.id, now=lapse) is True
    delivery._record(first, delivery.Outcome(S.DEAD, "late"), now=lapse)
    (row,) = messages()
    assert (row.status, row.attempt_count, len(service.sent)) == (S.SENT, 2, 1)


def test_deliver_due_sends_everything_that_is_due(now: datetime, service: Service) -> None:
    due = [waiting_message(now) for _ in range(3)]
    later = waiting_message(now + timedelta(minutes=1))
    assert delivery.deliver_due(now=now) == 3
    assert len(service.sent) == 3
    statuses = {row.id: row.status for row in messages()}
    assert statuses == {**{row.id: S.SENT for row in due}, later.id: S.PENDING}
    assert delivery.deliver_due(now=now) == 0


def test_resend_puts_a_dead_letter_back(now: datetime, service: Service) -> None:
    message = waiting_message(now, expires_at=now + timedelta(minutes=5))
    service.answer = raising(GatewayRefused("47003", "argument invalid"))
    delivery.deliver(message.id, now=now)
    service.answer = lambda: None
    later = now + timedelta(hours=1)
    delivery.resend_notification(message.id, actor=staff(is_all=True), now=later)
    assert delivery.deliver(message.id, now=later) is True
    assert [(row.status, row.attempt_count) for row in messages()] == [(S.SENT, 1)]
    (entry,) = db.session.scalars(select(AuditEntry)).all()
    assert (entry.action, entry.actor_name, entry.before) == (
        "resend",
        "Cashier",
        {"status": "dead", "last_error": "47003: argument invalid"},
    )


@pytest.mark.parametrize("status", [S.PENDING, S.SENDING, S.SENT, S.FAILED])
def test_resend_is_refused_for_anything_else(now: datetime, service: Service, status: S) -> None:
    message = waiting_message(now)
    message.status = status
    db.session.commit()
    with pytest.raises(InvalidTransition):
        delivery.resend_notification(message.id, actor=staff(is_all=True), now=now)
    assert [row.status for row in messages()] == [status]
    assert db.session.scalars(select(AuditEntry)).all() == []


def test_resend_outside_the_actors_stores_is_refused(now: datetime, service: Service) -> None:
    message = waiting_message(now)
    message.status = S.DEAD
    db.session.commit()
    actor = staff(make_store())
    assert actor.scope != NO_STORES
    with pytest.raises(NotFound):
        delivery.resend_notification(message.id, actor=actor, now=now)
    assert [row.status for row in messages()] == [S.DEAD]
