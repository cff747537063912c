"""The screen to try a date: page and JSON say the same, mistakes are answered, and roles and scope hold."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.extensions import db
from app.models import BookingSession, CalendarDay, PriceKind, Room
from app.views import price_trial_words
from tests import factories as make
from tests.views.helpers import client_of

JSON = {"Accept": "application/json"}


@pytest.fixture
def room(app: Flask) -> Room:
    """A room with weekday, weekend and holiday prices and a night band."""
    store = make.make_store(name="静安店")
    make.make_policy(store)
    for name, kind, amount in (
        ("平日", "weekday", 2800),
        ("周末价", "weekend", 4000),
        ("节日", "holiday", 6000),
    ):
        make.make_price(store, amount, name=name, day_kind=kind)
    make.make_price(store, 5000, name="夜间", band_start_minute=22 * 60, band_end_minute=6 * 60, priority=-1)
    return make.make_room(store, name="竹韵")


@pytest.fixture
def client(app: Flask, room: Room) -> FlaskClient:
    return client_of(app, make.make_staff("Owner"))


def query(room: Room, **values: Any) -> dict[str, Any]:
    return {
        "room_id": str(room.id),
        "start_at": "2026-09-30 22:00",
        "end_at": "2026-10-01 02:00",
    } | values


def test_page_and_json_say_the_same(client: FlaskClient, room: Room) -> None:
    found = client.get("/price-trials/", query_string=query(room), headers=JSON).get_json()
    page = client.get("/price-trials/", query_string=query(room)).get_data(as_text=True)

    assert [piece["contenders"][0]["name"] for piece in found["pieces"]] == ["平日", "节日"]
    assert [piece["because"] for piece in found["pieces"]] == ["priority", "priority"]
    assert found["quote"]["total_fen"] == 2 * 2800 + 2 * 6000
    assert [(day["on"], day["kind"]) for day in found["days"]] == [
        ("2026-09-30", "weekday"),
        ("2026-10-01", "holiday"),
    ]
    for piece in found["pieces"]:
        assert piece["text"] in page
    assert "¥176.00" in page
    assert "09-30 22:00–24:00" in page
    assert 'class="price-grid"' in page


def test_times_with_an_offset_are_understood(client: FlaskClient, room: Room) -> None:
    times = {"start_at": "2026-09-30T14:00:00+00:00", "end_at": "2026-09-30T18:00:00+00:00"}

    found = client.get("/price-trials/", query_string=query(room, **times), headers=JSON).get_json()

    assert found["start_at"] == "2026-09-30T22:00:00+08:00"


def test_first_visit_shows_the_first_room(client: FlaskClient, room: Room) -> None:
    answer = client.get("/price-trials/")

    assert answer.status_code == 200
    assert 'class="trial-piece' in answer.get_data(as_text=True)


def test_page_without_any_room(app: Flask) -> None:
    answer = client_of(app, make.make_staff("Owner")).get("/price-trials/")

    assert answer.status_code == 200
    assert "trial-form" not in answer.get_data(as_text=True)


def test_gap_tie_and_unknown_year_are_warnings(client: FlaskClient, room: Room) -> None:
    make.make_price(room.store, 1, name="双生", day_kind="weekday")
    wanted = query(room, start_at="2031-01-01 10:00", end_at="2031-01-01 11:00")

    found = client.get("/price-trials/", query_string=wanted, headers=JSON).get_json()
    page = client.get("/price-trials/", query_string=wanted).get_data(as_text=True)

    assert [warning["code"] for warning in found["warnings"]] == ["tie", "holidays_unknown"]
    assert page.count("alert-warning") == 2


def test_session_of_the_day(client: FlaskClient, room: Room) -> None:
    night = BookingSession(store=room.store, name="通宵场", start_minute=23 * 60, length_minutes=9 * 60)
    db.session.add(night)
    db.session.commit()
    make.make_price(room.store, 9900, name="通宵", kind=PriceKind.SESSION, session_id=night.id)
    wanted = query(room, session_id=str(night.id), end_at="")

    found = client.get("/price-trials/", query_string=wanted, headers=JSON).get_json()

    assert (found["start_at"], found["end_at"]) == ("2026-09-30T23:00:00+08:00", "2026-10-01T08:00:00+08:00")
    assert found["quote"]["total_fen"] == 9900
    assert "通宵" in client.get("/price-trials/", query_string=wanted).get_data(as_text=True)


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("no room", {"room_id": ""}, "invalid_field"),
    ("room that is no number", {"room_id": "x"}, "invalid_field"),
    ("no start", {"start_at": ""}, "invalid_field"),
    ("start that is no time", {"start_at": "soon"}, "invalid_field"),
    ("first year of all", {"start_at": "0001-01-01T00:00:00+14:00"}, "invalid_field"),
    ("no end", {"end_at": ""}, "invalid_field"),
    ("end before the start", {"end_at": "2026-09-30 21:00"}, "invalid_field"),
    ("too long", {"end_at": "2026-10-30 21:00"}, "invalid_field"),
    ("session that is no number", {"session_id": "x"}, "invalid_field"),
    ("session that does not exist", {"session_id": "999999"}, "invalid_field"),
    ("room that does not exist", {"room_id": "999999"}, "not_found"),
    ("null byte", {"start_at": "2026\x00"}, "invalid_field"),
]


@pytest.mark.parametrize(("label", "values", "code"), WRONG, ids=[row[0] for row in WRONG])
def test_mistakes_are_answered(
    client: FlaskClient, room: Room, label: str, values: dict[str, str], code: str
) -> None:
    wanted = query(room, **values)

    answer = client.get("/price-trials/", query_string=wanted, headers=JSON)
    page = client.get("/price-trials/", query_string=wanted)

    assert (answer.mimetype, answer.get_json()["code"]) == ("application/problem+json", code)
    # Without a room or a start nothing was asked yet: the page is its empty form.
    is_asked = label not in ("no room", "no start")
    assert page.status_code == (200 if not is_asked else 404 if code == "not_found" else 422)
    assert ("alert-danger" in page.get_data(as_text=True)) is is_asked


def test_grid_as_json(client: FlaskClient, room: Room) -> None:
    db.session.add(CalendarDay(on_date=date(2026, 9, 29), kind="holiday", label="店庆", store=room.store))
    db.session.commit()

    grid = client.get("/price-trials/grid", query_string=query(room)).get_json()

    assert (grid["first_on"], len(grid["hours"])) == ("2026-09-28", 168)
    assert [(day["kind"], day["source"]) for day in grid["days"][:4]] == [
        ("weekday", "public"),
        ("holiday", "store"),
        ("weekday", "public"),
        ("holiday", "public"),
    ]
    named = {(hour["on"], hour["hour"]): [each["name"] for each in hour["winners"]] for hour in grid["hours"]}
    assert named["2026-09-29", 10] == ["节日"]
    assert named["2026-09-30", 10] == ["平日"]


@pytest.mark.parametrize("week_on", ["x", "1900-01-01", "9999-12-31"])
def test_grid_of_an_impossible_week(client: FlaskClient, room: Room, week_on: str) -> None:
    answer = client.get("/price-trials/grid", query_string=query(room, week_on=week_on))

    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_field")


@pytest.mark.parametrize(
    ("role", "status"),
    [("Owner", 200), ("Manager", 200), ("Analyst", 200), ("Cashier", 403), ("Service", 403)],
)
def test_roles(app: Flask, room: Room, role: str, status: int) -> None:
    from app.services.roles import ROLES

    assert role == "Owner" or role in ROLES
    client = client_of(app, make.make_staff(role, room.store))

    answer = client.get("/price-trials/", query_string=query(room), headers=JSON)
    assert answer.status_code == status
    assert client.get("/price-trials/grid", query_string=query(room), headers=JSON).status_code == status


def test_rooms_of_other_stores_are_not_there(app: Flask, room: Room) -> None:
    manager = client_of(app, make.make_staff("Manager", make.make_room().store))

    answer = manager.get("/price-trials/", query_string=query(room), headers=JSON)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")
    page = manager.get("/price-trials/").get_data(as_text=True)
    assert "竹韵" not in page


@pytest.mark.parametrize(
    ("on", "is_exchanged"),
    [
        pytest.param("2026-10-10", True, id="a Saturday that is worked"),
        pytest.param("2026-10-12", False, id="an ordinary Monday"),
        pytest.param("2026-10-17", False, id="an ordinary Saturday"),
    ],
)
def test_working_weekends_are_told_apart(
    client: FlaskClient, room: Room, on: str, is_exchanged: bool
) -> None:
    times = {"start_at": f"{on} 10:00", "end_at": f"{on} 12:00"}
    days = client.get("/price-trials/", query_string=query(room, **times), headers=JSON).get_json()["days"]
    day = {"on": date.fromisoformat(days[0]["on"]), "kind": days[0]["kind"], "source": days[0]["source"]}
    with client.application.test_request_context():
        public = price_trial_words.source_text({**day, "kind": "holiday"})
        told = price_trial_words.source_text(day)

    assert (told != public) is is_exchanged
    page = client.get("/price-trials/", query_string=query(room, **times)).get_data(as_text=True)
    if is_exchanged:
        assert days[0]["kind"] == "weekday"
        assert told in page
