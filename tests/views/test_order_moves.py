"""Moving and extending at the counter: what it costs is shown first, and is what happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text

from app.domain.states import ChangeStatus, OrderStatus
from app.extensions import db
from app.models import BookingPolicy, Order, OrderChange, PriceRule, Room, RoomBlock, Store
from app.models.staff import PermissionView, Role
from tests import factories
from tests.conftest import Door
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import Clock, LogIn
from tests.views.helpers import JSON, Visitor, main_of


@pytest.fixture
def cashier(log_in: LogIn) -> Visitor:
    return log_in("Cashier")


@pytest.fixture
def other(shop: Shop) -> Room:
    """A dearer room of the store: ¥90 an hour."""
    room = factories.make_room(shop.store, name="竹影")
    factories.make_price(shop.store, 9000, name="竹影小时价", scope="room", room=room)
    return room


def ask(client: Visitor, no: str, page: str, **query: Any) -> Any:
    """Ask for a preview as a program does; nothing may change."""
    with unchanged():
        answer = client.get(f"/orders/{no}/{page}", query_string=query, headers=JSON)
    return answer


def act(client: Visitor, no: str, name: str, **values: Any) -> Any:
    return client.post(f"/orders/{no}/actions/{name}", json=values, headers=JSON)


def set_policy(shop: Shop, **values: Any) -> None:
    policy = shop.rows(BookingPolicy)[0]
    for name, value in values.items():
        setattr(policy, name, value)
    db.session.commit()


def test_free_rooms_come_first(shop: Shop, cashier: Visitor, other: Room) -> None:
    taken, blocked = (factories.make_room(shop.store, name=name) for name in ("松风", "东篱"))
    no = shop.paid_booking(3, 2)
    shop.paid_booking(4, 2, room_id=taken.id, actor=shop.another_guest())
    block = {"start_at": shop.at(4), "end_at": shop.at(6), "reason": "保养"}
    db.session.add(RoomBlock(store_id=shop.store.id, room_id=blocked.id, **block))
    db.session.commit()
    page = cashier.get(f"/orders/{no}/move")

    assert page.status_code == 200
    told = ask(cashier, no, "move").json
    assert [(room["name"], room["is_free"], room["is_present"]) for room in told["rooms"]] == [
        ("听雨", True, True),
        ("竹影", True, False),
        ("松风", False, False),
        ("东篱", False, False),
    ]
    assert all(bool(room["reason"]) is not room["is_free"] for room in told["rooms"])
    assert told["preview"] is None
    words = main_of(page)
    assert words.index("竹影") < words.index("松风")
    # Two hours later they are free again.
    later = ask(cashier, no, "move", start_at="2026-03-04 18:00").json
    assert [room["is_free"] for room in later["rooms"]] == [True] * 4


def test_a_dearer_room_is_held_for_what_the_page_says(shop: Shop, cashier: Visitor, other: Room) -> None:
    no = shop.paid_booking(3, 2)
    preview = ask(cashier, no, "move", room_id=other.id).json["preview"]
    assert (preview["difference_fen"], preview["total_fen"], preview["fee_fen"]) == (6000, 18000, 0)
    assert [line["label"] for line in preview["lines"]] == ["竹影小时价"]
    page = main_of(cashier.get(f"/orders/{no}/move?room_id={other.id}"))
    assert "¥60.00" in page and "竹影 · 03-04 15:00–17:00" in page

    answer = act(cashier, no, "move", room_id=str(other.id), reason="听雨空调坏了")

    assert (answer.status_code, answer.json["due_fen"]) == (200, 6000)
    order = cashier.get(f"/orders/{no}", headers=JSON).json
    assert (order["room"]["name"], order["due_fen"]) == ("听雨", 6000)
    change = order["pending_change"]
    assert (change["room"]["name"], change["total_fen"], change["difference_fen"]) == ("竹影", 18000, 6000)
    shop.pay(no)
    order = cashier.get(f"/orders/{no}", headers=JSON).json
    assert (order["room"]["name"], order["total_fen"], order["due_fen"]) == ("竹影", 18000, 0)
    words = main_of(cashier.get(f"/orders/{no}"))
    assert "听雨 03-04 15:00–17:00 → 竹影 03-04 15:00–17:00" in words and "听雨空调坏了" in words


def test_local_times_and_lengths_are_read(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(3, 2)
    preview = ask(cashier, no, "move", start_at="2026/03/04 20:00", minutes="60").json["preview"]

    assert (preview["start_at"], preview["end_at"]) == (
        "2026-03-04T20:00:00+08:00",
        "2026-03-04T21:00:00+08:00",
    )
    assert preview["difference_fen"] == -6000
    page = cashier.get(f"/orders/{no}/move?start_at=2026-03-04+20:00&minutes=60").get_data(as_text=True)
    fields = dict(re.findall(r'name="(room_id|start_at|end_at)" value="([^"]+)">', page))
    answer = cashier.post(f"/orders/{no}/actions/move", data=fields)

    assert (answer.status_code, answer.location) == (302, f"/orders/{no}")
    booking = shop.booking(no)
    assert (booking.start_at, booking.end_at) == (shop.at(8), shop.at(9))
    assert shop.order(no).total_fen == 6000


def test_guests_who_are_in_change_their_room_for_nothing(shop: Shop, cashier: Visitor, other: Room) -> None:
    no = shop.paid_booking(0, 2)
    act(cashier, no, "check_in")
    told = ask(cashier, no, "move", room_id=other.id, start_at="2026-03-05 10:00").json

    assert (told["preview"]["difference_fen"], told["preview"]["total_fen"]) == (0, 12000)
    assert told["preview"]["end_at"] == "2026-03-04T14:00:00+08:00"
    assert act(cashier, no, "move", room_id=str(other.id)).json["access"]["code"]
    assert shop.booking(no).room_id == other.id


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param({"room_id": "x"}, 422, "invalid_field", id="room no number"),
        pytest.param({"room_id": "999999"}, 404, "not_found", id="unknown room"),
        pytest.param({"start_at": "morgen"}, 422, "invalid_field", id="no time"),
        pytest.param({"start_at": "0001-01-01T00:00:00+00:00"}, 422, "invalid_field", id="year one"),
        pytest.param({"start_at": "2026-03-03 10:00"}, 422, "in_past", id="yesterday"),
        pytest.param({"minutes": "-5"}, 422, "invalid_field", id="negative length"),
        pytest.param({"minutes": "999999999"}, 422, "invalid_field", id="two thousand years"),
        pytest.param({"end_at": "2999-01-01 10:00"}, 422, "too_long", id="a thousand years"),
        pytest.param({"end_at": "2026-03-04 10:00"}, 422, "invalid_field", id="end before start"),
        pytest.param({"start_at": "2026-03-04 18:00"}, 409, "room_taken", id="taken"),
        pytest.param({"minutes": "30"}, 422, "too_short", id="too short"),
    ],
)
def test_a_move_is_refused(
    shop: Shop, cashier: Visitor, query: dict[str, str], status: int, code: str
) -> None:
    no = shop.paid_booking(3, 2)
    shop.paid_booking(6, 2, actor=shop.another_guest())
    answer = ask(cashier, no, "move", **query)

    assert (answer.status_code, answer.json and answer.json["code"]) == (status, code)
    page = cashier.get(f"/orders/{no}/move", query_string=query)
    assert page.status_code == status
    assert 'class="alert alert-danger' in page.get_data(as_text=True)


def test_what_is_possible_instead_is_offered(shop: Shop, cashier: Visitor, other: Room) -> None:
    no = shop.paid_booking(3, 2)
    shop.paid_booking(6, 2, actor=shop.another_guest())
    page = cashier.get(f"/orders/{no}/move?start_at=2026-03-04+18:00").get_data(as_text=True)

    offers = re.findall(rf'href="(/orders/{no}/move\?[^"]+)"', page)
    assert 0 < len(offers) <= 3
    for offer in offers:
        assert cashier.get(offer.replace("&amp;", "&")).status_code == 200


def test_more_minutes_cost_what_the_page_says(shop: Shop, cashier: Visitor, clock: Clock) -> None:
    no = shop.paid_booking(0, 2)
    follows = shop.paid_booking(4, 2, actor=shop.another_guest())
    act(cashier, no, "check_in")
    told = ask(cashier, no, "extend", minutes=60).json

    assert [(each["minutes"], each["difference_fen"]) for each in told["choices"]] == [
        (30, 3000),
        (60, 6000),
        (90, 9000),
        (120, 12000),
    ]
    ahead = told["ahead"]
    assert (ahead["kind"], ahead["next_no"], ahead["free_until_at"]) == (
        "booking",
        follows,
        "2026-03-04T16:00:00+08:00",
    )
    assert told["preview"]["difference_fen"] == 6000
    words = main_of(cashier.get(f"/orders/{no}/extend?minutes=60"))
    assert "¥60.00" in words and follows in words

    answer = act(cashier, no, "add_minutes", minutes="60")

    assert (answer.status_code, answer.json["due_fen"]) == (200, 6000)
    shop.pay(no)
    assert (shop.booking(no).end_at, shop.order(no).total_fen) == (shop.at(3), 18000)


@pytest.mark.parametrize(
    ("minutes", "status", "code"),
    [
        pytest.param("x", 422, "invalid_field", id="no number"),
        pytest.param("0", 422, "invalid_field", id="nothing"),
        pytest.param("721", 422, "invalid_field", id="more than twelve hours"),
        pytest.param("121", 409, "room_taken", id="into the next booking"),
    ],
)
def test_more_minutes_are_refused(shop: Shop, cashier: Visitor, minutes: str, status: int, code: str) -> None:
    no = shop.paid_booking(0, 2)
    shop.paid_booking(4, 2, actor=shop.another_guest())
    act(cashier, no, "check_in")
    answer = ask(cashier, no, "extend", minutes=minutes)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    page = cashier.get(f"/orders/{no}/extend", query_string={"minutes": minutes})
    assert page.status_code == status and 'class="alert alert-danger' in page.get_data(as_text=True)
    with unchanged():
        assert act(cashier, no, "add_minutes", minutes=minutes).status_code == status
    if code == "room_taken":
        # The longest that fits is one click away.
        assert f"/orders/{no}/extend?minutes=120" in page.get_data(as_text=True)


def test_a_change_that_waits_is_shown_and_given_up(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(3, 2)
    assert act(cashier, no, "add_minutes", minutes="60").json["due_fen"] == 6000
    page = cashier.get(f"/orders/{no}").get_data(as_text=True)
    assert f'action="/orders/{no}/actions/drop_change"' in page
    assert re.search(r'<time class="countdown" datetime="2026-03-04T12:15:00\+08:00" data-countdown>', page)

    answer = cashier.post(f"/orders/{no}/actions/drop_change")

    assert (answer.status_code, answer.location) == (302, f"/orders/{no}")
    assert [change.status for change in shop.rows(OrderChange)] == [ChangeStatus.DROPPED]
    assert shop.book(5, 1, actor=shop.another_guest())
    with unchanged():
        again = act(cashier, no, "drop_change")
    assert (again.status_code, again.json["code"]) == (409, "invalid_transition")


def test_orders_out_of_reach(shop: Shop, cashier: Visitor, other_store: Store, log_in: LogIn) -> None:
    no, bought = shop.paid_booking(3, 2), shop.voucher().order.no
    stranger, reader = log_in("Manager", other_store), log_in("Service")
    for page in ("move", "extend"):
        assert stranger.get(f"/orders/{no}/{page}").status_code == 404
        assert stranger.get(f"/orders/{no}/{page}", headers=JSON).status_code == 404
        assert reader.get(f"/orders/{no}/{page}", headers=JSON).status_code == 403
        assert cashier.get(f"/orders/{bought}/{page}").status_code == 404
        assert cashier.get(f"/orders/{bought}/{page}", headers=JSON).status_code == 404


def test_leaving_now_is_told_before(shop: Shop, cashier: Visitor, clock: Clock) -> None:
    set_policy(shop, early_refund_percent=50)
    no = shop.paid_booking(0, 2)
    act(cashier, no, "check_in")
    clock.advance(minutes=50)
    told = cashier.get(f"/orders/{no}", headers=JSON).json["check_out_preview"]

    assert told == {"overtime_fen": 0, "overtime_minutes": 0, "refund_fen": 3000}
    assert "¥30.00" in main_of(cashier.get(f"/orders/{no}"))
    assert act(cashier, no, "check_out").status_code == 200
    assert shop.order(no).total_fen == 12000 - 3000


def test_overtime_is_shown_while_it_runs_and_charged_as_shown(
    shop: Shop, cashier: Visitor, clock: Clock
) -> None:
    set_policy(shop, has_overtime=True, overtime_grace_minutes=10, overtime_unit_minutes=30)
    no = shop.paid_booking(0, 1)
    act(cashier, no, "check_in")
    clock.advance(minutes=65)
    assert cashier.get(f"/orders/{no}", headers=JSON).json["overtime"]["amount_fen"] == 0
    clock.advance(minutes=10)
    order = cashier.get(f"/orders/{no}", headers=JSON).json

    assert (order["overtime"]["minutes"], order["overtime"]["amount_fen"]) == (15, 3000)
    assert order["check_out_preview"]["overtime_fen"] == 3000
    page = cashier.get(f"/orders/{no}")
    assert "¥30.00" in main_of(page)
    assert '<b data-live-overtime="minutes">15</b>' in page.get_data(as_text=True)
    act(cashier, no, "check_out")
    assert shop.order(no).total_fen == 6000 + 3000
    assert shop.status(no) is OrderStatus.COMPLETED
    left = cashier.get(f"/orders/{no}", headers=JSON).json
    assert left["due_fen"] == 3000
    assert {each["name"] for each in left["actions"] if each["allowed"]} == {"take_payment", "adjust"}


def test_old_lines_keep_the_name_of_their_rule(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(3, 2)
    rule = shop.rows(PriceRule)[0]
    name, rule.name, rule.amount_fen = rule.name, "新价", 9900
    db.session.commit()

    line = cashier.get(f"/orders/{no}", headers=JSON).json["lines"][0]
    assert (line["label"], line["rule_version"], line["unit_fen"]) == (name, 1, 6000)
    assert name in main_of(cashier.get(f"/orders/{no}"))
    # A change of the time is priced by the rule as it is now.
    moved = ask(cashier, no, "move", start_at="2026-03-04 20:00").json["preview"]["lines"][0]
    assert (moved["label"], moved["rule_version"], moved["unit_fen"]) == ("新价", 2, 9900)


def test_a_double_click_acts_once(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(3, 2)
    form = {"sign": "+", "amount": "10", "reason": "加茶", "nonce": "n-1"}
    first, again = (cashier.post(f"/orders/{no}/actions/adjust", data=form, headers=JSON) for _ in range(2))

    assert (first.status_code, first.data) == (again.status_code, again.data)
    assert shop.order(no).total_fen == 13000
    # Corrected in place, it is another request.
    cashier.post(f"/orders/{no}/actions/adjust", data=form | {"amount": "5"}, headers=JSON)
    assert shop.order(no).total_fen == 13500


def test_a_refusal_is_not_kept_from_the_next_page(shop: Shop, cashier: Visitor, clock: Clock) -> None:
    no = shop.paid_booking(0, 1)
    for nonce in ("a", "a"):
        answer = act(cashier, no, "check_out", nonce=nonce)
        assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
    act(cashier, no, "check_in")
    assert act(cashier, no, "check_out", nonce="b").status_code == 200


def test_walk_ins_are_opened_once(shop: Shop, cashier: Visitor) -> None:
    form = {"room_id": shop.room.id, "minutes": "60", "nonce": "w-1"}
    places = {cashier.post("/walk-ins/", data=form).location for _ in range(2)}

    assert len(places) == 1 and len(shop.rows(Order)) == 1


@pytest.fixture
def night_shift(shop: Shop) -> Iterator[str]:
    """A role of the owner's that carries out next actions, and adjusts no prices."""
    wanted = {("can_read", "OrderView"), ("can_act", "OrderView")}
    grants = db.session.scalars(select(PermissionView)).all()
    kept = [row for row in grants if (row.permission.name, row.view_menu.name) in wanted]
    db.session.add(Role(name="Night shift", permissions=kept))
    db.session.commit()
    yield "Night shift"
    db.session.remove()
    found = "(SELECT id FROM ab_role WHERE name = 'Night shift')"
    with db.engine.begin() as connection:
        for table in ("ab_user_role", "ab_permission_view_role"):
            connection.execute(text(f"DELETE FROM {table} WHERE role_id IN {found}"))
        connection.execute(text("DELETE FROM ab_role WHERE name = 'Night shift'"))


def test_adjusting_is_a_permission_of_its_own(
    shop: Shop, cashier: Visitor, log_in: LogIn, night_shift: str
) -> None:
    no = shop.paid_booking(3, 2)
    assert f"/orders/{no}/actions/adjust" in cashier.get(f"/orders/{no}").get_data(as_text=True)
    client = log_in(night_shift)
    actions = client.get(f"/orders/{no}", headers=JSON).json["actions"]
    told = next(each for each in actions if each["name"] == "adjust")
    with unchanged():
        answer = act(client, no, "adjust", amount_fen=100, reason="x")

    assert (told["allowed"], bool(told["reason"]), answer.status_code) == (False, True, 403)
    assert f"/orders/{no}/actions/adjust" not in client.get(f"/orders/{no}").get_data(as_text=True)
    assert act(client, no, "check_in").status_code == 200


def test_a_silent_door_is_work_until_it_opens(shop: Shop, cashier: Visitor, door: Door) -> None:
    door.is_silent = True
    no = shop.paid_booking(0, 2)
    answer = cashier.post(f"/orders/{no}/actions/check_in")
    page = cashier.get(answer.location).get_data(as_text=True)
    assert 'class="alert alert-warning' in page and "now-card is-orange" in page
    assert f'class="list-group-item list-group-item-action task" href="/orders/{no}"' in cashier.get(
        "/"
    ).get_data(as_text=True)
    assert act(cashier, no, "open_door").json == {"access": None}

    door.is_silent = False
    assert act(cashier, no, "open_door").json["access"]["code"]

    assert "now-card is-orange" not in cashier.get(f"/orders/{no}").get_data(as_text=True)
    assert " task" not in re.sub(
        r"task-\w+", "", cashier.get("/").get_data(as_text=True).partition("<main")[2]
    )
    assert shop.events(no)[-1] == "door_opened"
