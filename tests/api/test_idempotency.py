"""The same request under the same key: one effect, one answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.domain.actor import ALL_STORES
from app.domain.errors import IdempotencyConflict, NotFound, RateLimited, Unavailable
from app.extensions import db, use_scope
from app.gateways.ports import GatewayUnavailable
from app.models import Booking, Customer, IdempotencyKey, Order, Payment
from app.services import bookings, idempotency
from app.services.idempotency import LEASE, Answer, KeyedRequest
from tests import factories
from tests.api.conftest import Clock, LogIn, Till
from tests.api.contract import ContractClient

BODY = {"start_at": "2026-03-04T18:00:00+08:00", "end_at": "2026-03-04T20:00:00+08:00"}
REQUEST = KeyedRequest("customer:1", "POST", "/x", "key", hashlib.sha256(b"body").hexdigest())


def _count(model: type) -> int:
    # Others have written since this session began to read.
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_repetition_gets_the_first_answer(api: ContractClient, log_in: LogIn, clock: Clock) -> None:
    room = factories.make_room()
    headers = log_in() | {"Idempotency-Key": "k 1"}
    first = api.post("/api/v1/bookings", json={"room_id": str(room.id), **BODY}, headers=headers)
    clock.advance(minutes=5)
    again = api.post("/api/v1/bookings", json={"room_id": str(room.id), **BODY}, headers=headers)
    assert first.status_code == again.status_code == 201
    assert (first.data, first.content_type) == (again.data, again.content_type)
    assert (_count(Order), _count(Booking)) == (1, 1)


def test_repetition_of_a_refusal_gets_the_refusal(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    body = {"room_id": str(room.id), **BODY}
    assert api.post("/api/v1/bookings", json=body, headers=log_in()).status_code == 201
    headers = log_in() | {"Idempotency-Key": "k"}
    first = api.post("/api/v1/bookings", json=body, headers=headers)
    assert (first.status_code, first.json["code"]) == (409, "room_taken")
    db.session.execute(update(Booking).values(state="released"))
    db.session.commit()
    again = api.post("/api/v1/bookings", json=body, headers=headers)
    assert (again.status_code, again.data, again.content_type) == (409, first.data, first.content_type)
    assert _count(Order) == 1


def test_repetition_of_bad_input_gets_the_refusal(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in() | {"Idempotency-Key": "k"}
    first = api.post("/api/v1/bookings", json={}, headers=headers)
    again = api.post("/api/v1/bookings", json={}, headers=headers)
    assert (first.status_code, first.data) == (422, again.data)


def test_other_body_is_a_conflict(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    headers = log_in() | {"Idempotency-Key": "k"}
    api.post("/api/v1/bookings", json={"room_id": str(room.id), **BODY}, headers=headers)
    other = {"room_id": str(room.id), **BODY, "note": "window"}
    answer = api.post("/api/v1/bookings", json=other, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_conflict")
    assert _count(Order) == 1


def test_key_belongs_to_customer_and_address(api: ContractClient, log_in: LogIn) -> None:
    room, other = factories.make_room(), factories.make_room()
    headers = {"Idempotency-Key": "k"}
    mine = api.post("/api/v1/bookings", json={"room_id": str(room.id), **BODY}, headers=log_in() | headers)
    theirs = api.post("/api/v1/bookings", json={"room_id": str(other.id), **BODY}, headers=log_in() | headers)
    assert mine.status_code == theirs.status_code == 201
    assert mine.json["no"] != theirs.json["no"]


@pytest.mark.parametrize("key", ["", "x" * 65, "a\tb", "é"])
def test_key_that_is_refused(api: ContractClient, log_in: LogIn, key: str) -> None:
    answer = api.post("/api/v1/bookings", json={}, headers=log_in() | {"Idempotency-Key": key})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["Idempotency-Key"])
    assert _count(IdempotencyKey) == 0


def test_kept_answers_are_encrypted(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    headers = log_in() | {"Idempotency-Key": "k"}
    no = api.post("/api/v1/bookings", json={"room_id": str(room.id), **BODY}, headers=headers).json["no"]
    kept = db.session.scalars(select(IdempotencyKey)).one()
    assert no.encode() not in bytes(kept.response_body or b"")


def test_payment_that_found_nobody_is_tried_again(api: ContractClient, log_in: LogIn, till: Till) -> None:
    room = factories.make_room()
    headers = log_in()
    no = api.post("/api/v1/bookings", json={"room_id": str(room.id), **BODY}, headers=headers).json["no"]
    keyed = headers | {"Idempotency-Key": "k"}
    till.error = GatewayUnavailable("no answer", outcome_unknown=True)
    first = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "wechat_jsapi"}, headers=keyed)
    till.error = None
    second = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "wechat_jsapi"}, headers=keyed)
    third = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "wechat_jsapi"}, headers=keyed)
    assert (first.status_code, second.status_code) == (503, 201)
    assert second.data == third.data
    assert (len(till.created), _count(Payment)) == (1, 1)


def _at_once(app_client: ContractClient, count: int, work: Callable[[int], object]) -> list[object]:
    barrier = Barrier(count)

    def run(number: int) -> object:
        with app_client.application.app_context(), use_scope(ALL_STORES):
            barrier.wait()
            try:
                return work(number)
            finally:
                db.session.remove()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_twins_at_once_have_one_effect(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    headers = log_in() | {"Idempotency-Key": "k"}
    body = {"room_id": str(room.id), **BODY}
    app = api.application

    def book(_number: int) -> tuple[int, bytes]:
        answer = app.test_client().post("/api/v1/bookings", json=body, headers=headers)
        return answer.status_code, answer.data

    assert len(set(_at_once(api, 32, book))) == 1
    assert (_count(Order), _count(Booking)) == (1, 1)


def test_refused_twins_at_once_get_one_refusal(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    body = {"room_id": str(room.id), **BODY}
    assert api.post("/api/v1/bookings", json=body, headers=log_in()).status_code == 201
    headers = log_in() | {"Idempotency-Key": "k"}
    app = api.application

    def book(_number: int) -> tuple[int, bytes]:
        answer = app.test_client().post("/api/v1/bookings", json=body, headers=headers)
        return answer.status_code, answer.data

    assert {status for status, _ in set(_at_once(api, 16, book))} == {409}
    assert len(set(_at_once(api, 4, book))) == 1
    assert (_count(Order), _count(IdempotencyKey)) == (1, 1)


def test_refusal_gives_way_to_a_twin_that_was_accepted_meanwhile(
    api: ContractClient, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is kept a refusal holds nothing; what is kept first is everybody's answer."""
    room = factories.make_room()
    body = {"room_id": str(room.id), **BODY}
    assert api.post("/api/v1/bookings", json=body, headers=log_in()).status_code == 201
    headers = log_in() | {"Idempotency-Key": "k"}
    explain = bookings.refuse
    twins: list[bytes] = []

    def explain_late(*args: Any, **kwargs: Any) -> Any:
        refusal = explain(*args, **kwargs)
        if not twins:
            db.session.execute(update(Booking).values(state="released"))
            db.session.commit()
            twins.append(api.post("/api/v1/bookings", json=body, headers=headers).data)
        return refusal

    monkeypatch.setattr(bookings, "refuse", explain_late)
    answer = api.post("/api/v1/bookings", json=body, headers=headers)
    assert (answer.status_code, answer.data) == (201, twins[0])
    assert _count(Order) == 2


def test_twins_with_another_body_at_once(api: ContractClient, log_in: LogIn) -> None:
    room_id = str(factories.make_room().id)
    headers = log_in() | {"Idempotency-Key": "k"}
    app = api.application

    def book(number: int) -> int:
        body = {"room_id": room_id, **BODY, "note": str(number)}
        return app.test_client().post("/api/v1/bookings", json=body, headers=headers).status_code

    assert sorted(_at_once(api, 8, book)) == [201] + [409] * 7
    assert _count(Order) == 1


def test_without_keys_twins_have_several_effects(api: ContractClient, log_in: LogIn) -> None:
    """The control: what the key prevents does happen without it."""
    path = f"/api/v1/campaigns/{factories.make_campaign(factories.make_store()).id}/orders"
    headers = log_in()
    app = api.application

    def buy(_number: int) -> int:
        return app.test_client().post(path, json={"quantity": 1}, headers=headers).status_code

    assert _at_once(api, 4, buy) == [201] * 4
    assert _count(Order) == 4


def _refuse(refusal: Exception) -> Answer:
    return Answer(404, b"refused")


@pytest.mark.parametrize("answer", [idempotency.answer_in_transaction, idempotency.answer_under_claim])
def test_answers_that_are_not_kept(api: ContractClient, clock: Clock, answer: Callable[..., Answer]) -> None:
    for error in (RateLimited(), Unavailable(), RuntimeError("broken")):

        def fail(error: Exception = error) -> Answer:
            raise error

        with pytest.raises(type(error)):
            answer(REQUEST, fail, _refuse, now=clock.now)
        assert _count(IdempotencyKey) == 0
    assert answer(REQUEST, lambda: Answer(200, b"{}"), _refuse, now=clock.now) == Answer(200, b"{}")


def test_refusal_undoes_what_was_done(api: ContractClient, clock: Clock) -> None:
    def work() -> Answer:
        db.session.add(Customer(created_at=clock.now))
        db.session.flush()
        raise NotFound()

    kept = idempotency.answer_in_transaction(REQUEST, work, _refuse, now=clock.now)
    assert kept == Answer(404, b"refused")
    assert (_count(Customer), _count(IdempotencyKey)) == (0, 1)


@pytest.mark.parametrize("answer", [idempotency.answer_in_transaction, idempotency.answer_under_claim])
def test_answers_are_kept_for_a_day(api: ContractClient, clock: Clock, answer: Callable[..., Answer]) -> None:
    def ask(body: bytes) -> Answer:
        return answer(REQUEST, lambda: Answer(200, body), _refuse, now=clock.now)

    assert ask(b"1") == Answer(200, b"1")
    clock.advance(hours=24, seconds=-1)
    assert ask(b"2") == Answer(200, b"1")
    assert idempotency.forget_old_keys(now=clock.now) == 0
    clock.advance(seconds=2)
    assert ask(b"3") == Answer(200, b"3")
    clock.advance(hours=24)
    assert idempotency.forget_old_keys(now=clock.now) == 1


def test_twin_waits_for_the_first(api: ContractClient, clock: Clock) -> None:
    is_running, may_finish = Event(), Event()

    def slow() -> Answer:
        is_running.set()
        assert may_finish.wait(30)
        return Answer(201, b"first")

    def twin() -> Answer:
        may_finish.set()
        return Answer(201, b"second")

    def ask(number: int) -> Answer:
        if number == 0:
            return idempotency.answer_under_claim(REQUEST, slow, _refuse, now=clock.now)
        assert is_running.wait(30)
        may_finish.set()
        return idempotency.answer_under_claim(REQUEST, twin, _refuse, now=clock.now)

    assert _at_once(api, 2, ask) == [Answer(201, b"first")] * 2


def test_claim_of_the_dead_is_taken_over(
    api: ContractClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.0)

    class Killed(BaseException):
        pass

    def die() -> Answer:
        raise Killed

    monkeypatch.setattr(idempotency, "_release", lambda request: None)
    with pytest.raises(Killed):
        idempotency.answer_under_claim(REQUEST, die, _refuse, now=clock.now)
    work: Callable[[], Answer] = lambda: Answer(200, b"alive")  # noqa: E731
    with pytest.raises(Unavailable):
        idempotency.answer_under_claim(REQUEST, work, _refuse, now=clock.now + LEASE - timedelta(seconds=1))
    later = clock.now + LEASE + timedelta(seconds=1)
    kept = idempotency.answer_under_claim(REQUEST, work, _refuse, now=later)
    assert kept == Answer(200, b"alive")
    assert timedelta(seconds=60) >= LEASE


def test_other_body_under_a_claim_is_a_conflict(api: ContractClient, clock: Clock) -> None:
    idempotency.answer_under_claim(REQUEST, lambda: Answer(200, b""), _refuse, now=clock.now)
    other = KeyedRequest(REQUEST.owner, REQUEST.method, REQUEST.path, REQUEST.key, "0" * 64)
    with pytest.raises(IdempotencyConflict):
        idempotency.answer_under_claim(other, lambda: Answer(200, b""), _refuse, now=clock.now)
