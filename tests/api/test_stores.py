"""Stores and rooms as customers see them, and what is free in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from app.extensions import db
from app.models import Facility, Media, MediaKind, OpeningHours, Room, RoomFacility, Store
from tests import factories
from tests.api.conftest import Clock, LogIn
from tests.api.contract import ContractClient

WINDOW = "from=2026-03-04T12:00:00%2B08:00&to=2026-03-05T12:00:00%2B08:00"


def _count_statements(work: Callable[[], Any]) -> int:
    statements: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement != "BEGIN":
            statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", listen)
    try:
        work()
    finally:
        event.remove(db.engine, "before_cursor_execute", listen)
    return len(statements)


def test_stores_come_nearest_first(api: ContractClient) -> None:
    far = factories.make_store(lat=39.9, lng=116.4)
    near = factories.make_store(lat=31.23, lng=121.47)
    unknown = factories.make_store(lat=None, lng=None)
    answer = api.get("/api/v1/stores?lat=31.2304&lng=121.4737").json
    assert [item["id"] for item in answer["items"]] == [str(near.id), str(far.id), str(unknown.id)]
    distances = [item["distance_m"] for item in answer["items"]]
    # Shanghai to Beijing is 1,067 km on the sphere.
    assert distances[0] < 500
    assert distances[1] == pytest.approx(1_067_000, rel=0.01)
    assert distances[2] is None
    plain = api.get("/api/v1/stores").json["items"]
    assert [item["id"] for item in plain] == [str(far.id), str(near.id), str(unknown.id)]
    assert {item["distance_m"] for item in plain} == {None}


def test_stores_are_found_by_text(api: ContractClient) -> None:
    wanted = factories.make_store(name="静安店", city="上海", address="南京西路 100%_1 号")
    factories.make_store(name="朝阳店", city="北京")
    factories.make_store(name="静安旧店", is_active=False)
    for text in ("静安", "南京西", "上海", "%_1"):
        items = api.get("/api/v1/stores", query_string={"q": text}).json["items"]
        assert [item["id"] for item in items] == [str(wanted.id)]
    assert api.get("/api/v1/stores?q=%25").json["items"] != []
    assert api.get("/api/v1/stores?q=nowhere").json == {"items": [], "next_cursor": None}


def test_stores_are_paged(api: ContractClient) -> None:
    ids = [str(factories.make_store().id) for _ in range(5)]
    found, cursor = [], None
    for _ in range(3):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = api.get("/api/v1/stores", query_string=query).json
        found += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
    assert (found, cursor) == (ids, None)


@pytest.mark.parametrize(
    ("hours", "is_open"),
    [
        pytest.param([(2, 600, 1320)], True, id="inside"),
        pytest.param([(2, 720, 1320)], True, id="opens now"),
        pytest.param([(2, 600, 720)], False, id="closes now"),
        pytest.param([(1, 1320, 2160)], False, id="night that ended now"),
        pytest.param([(1, 1320, 2170)], True, id="night that still lasts"),
        pytest.param([(3, 0, 1440)], False, id="another day"),
        pytest.param([], False, id="no hours"),
    ],
)
def test_store_is_open(api: ContractClient, hours: list[tuple[int, int, int]], is_open: bool) -> None:
    store = factories.make_store(hours=hours)
    assert api.get(f"/api/v1/stores/{store.id}").json["is_open"] is is_open


def test_store_has_everything_its_page_shows(api: ContractClient) -> None:
    room = factories.make_room()
    store = room.store
    facility = Facility(name="雀友机麻")
    db.session.add_all(
        [
            Media(store_id=store.id, kind=MediaKind.VIDEO, url="/media/v.mp4", position=0),
            Media(store_id=store.id, kind=MediaKind.OVERVIEW, url="/media/1.jpg", position=1),
            Media(store_id=store.id, kind=MediaKind.ANGLE, url="/media/2.jpg", position=2, is_cover=True),
            Media(store_id=store.id, room_id=room.id, kind=MediaKind.OVERVIEW, url="/media/r.jpg"),
            RoomFacility(room=room, facility=facility, brand="雀友", remark="静音"),
        ]
    )
    db.session.commit()
    answer = api.get(f"/api/v1/stores/{store.id}").json
    assert [medium["url"] for medium in answer["media"]] == ["/media/v.mp4", "/media/1.jpg", "/media/2.jpg"]
    assert answer["cover_url"] == "/media/2.jpg"
    assert [item["name"] for item in answer["facilities"]] == ["雀友机麻"]
    assert answer["policy"]["min_minutes"] == 60
    assert answer["policy"]["cancel_steps"][0] == {"minutes_before": 120, "fee_percent": 0}
    assert len(answer["opening_hours"]) == 7
    own = api.get(f"/api/v1/rooms/{room.id}").json
    assert own["facilities"] == [{"name": "雀友机麻", "brand": "雀友", "remark": "静音"}]
    assert (own["cover_url"], own["price_from_fen"], own["state"]) == ("/media/r.jpg", 6000, "free")


def test_special_day_is_shown(api: ContractClient) -> None:
    store = factories.make_store()
    db.session.add(OpeningHours(store=store, on_date=date(2026, 3, 4), is_closed=True))
    db.session.commit()
    answer = api.get(f"/api/v1/stores/{store.id}").json
    assert answer["is_open"] is False
    assert answer["opening_hours"][-1]["on_date"] == "2026-03-04"


def test_what_is_out_of_service_is_not_there(api: ContractClient) -> None:
    room = factories.make_room()
    store_id, room_id = room.store_id, room.id
    db.session.execute(update(Room).values(is_active=False))
    db.session.commit()
    assert api.get(f"/api/v1/stores/{store_id}/rooms").json["items"] == []
    assert api.get(f"/api/v1/rooms/{room_id}").status_code == 404
    assert api.get(f"/api/v1/rooms/{room_id}/availability?{WINDOW}").status_code == 404
    db.session.execute(update(Store).values(is_active=False))
    db.session.commit()
    for path in ("", "/rooms", f"/availability?{WINDOW}"):
        assert api.get(f"/api/v1/stores/{store_id}{path}").status_code == 404


def test_lists_cost_the_same_however_long(api: ContractClient) -> None:
    first = factories.make_room()
    store_id = first.store_id
    path = f"/api/v1/stores/{store_id}/rooms"
    few = _count_statements(lambda: api.get(path)), _count_statements(lambda: api.get("/api/v1/stores"))
    for _ in range(5):
        factories.make_room(db.session.get(Store, store_id))
        factories.make_room()
    many = _count_statements(lambda: api.get(path)), _count_statements(lambda: api.get("/api/v1/stores"))
    assert many == few
    assert len(api.get(path).json["items"]) == 6


def test_unchanged_answers_are_not_sent_again(api: ContractClient) -> None:
    room = factories.make_room()
    for path in (
        "/stores",
        f"/stores/{room.store_id}",
        f"/stores/{room.store_id}/rooms",
        f"/rooms/{room.id}",
    ):
        first = api.get(f"/api/v1{path}")
        again = api.get(f"/api/v1{path}", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        other = api.get(f"/api/v1{path}", headers={"If-None-Match": 'W/"other"'})
        assert (other.status_code, other.data) == (200, first.data)


def test_availability_tells_free_and_taken(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    body = {
        "room_id": str(room.id),
        "start_at": "2026-03-04T18:00:00+08:00",
        "end_at": "2026-03-04T20:00:00+08:00",
    }
    before = api.get(f"/api/v1/stores/{room.store_id}/availability?{WINDOW}")
    assert api.post("/api/v1/bookings", json=body, headers=log_in()).status_code == 201
    after = api.get(
        f"/api/v1/stores/{room.store_id}/availability?{WINDOW}",
        headers={"If-None-Match": before.headers["ETag"]},
    )
    assert after.status_code == 200
    assert after.json["version"] != before.json["version"]
    spans = after.json["rooms"][0]["spans"]
    assert spans[0]["start_at"] == "2026-03-04T12:00:00+08:00"
    assert spans[-1]["end_at"] == "2026-03-05T12:00:00+08:00"
    assert [span["start_at"] for span in spans[1:]] == [span["end_at"] for span in spans[:-1]]
    held = [span for span in spans if span["state"] == "held"]
    assert [(span["start_at"], span["end_at"]) for span in held] == [(body["start_at"], body["end_at"])]
    alone = api.get(f"/api/v1/rooms/{room.id}/availability?{WINDOW}").json
    assert alone["spans"] == spans


def test_unchanged_availability_costs_one_look(api: ContractClient, clock: Clock) -> None:
    room = factories.make_room()
    path = f"/api/v1/stores/{room.store_id}/availability?{WINDOW}"
    tag = {"If-None-Match": api.get(path).headers["ETag"]}
    assert _count_statements(lambda: api.get(path, headers=tag)) == 1
    assert api.get(path, headers=tag).status_code == 304
    other_window = path.replace("03-05", "03-06")
    assert api.get(other_window, headers=tag).status_code == 200
    clock.advance(minutes=30)
    assert api.get(path, headers=tag).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "from"),
        ("from=2026-03-04T12:00:00Z", "to"),
        ("from=2026-03-04T12:00:00Z&to=2026-03-04T12:00:00Z", "end_at"),
        ("from=2026-03-05T12:00:00Z&to=2026-03-04T12:00:00Z", "end_at"),
        ("from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:01Z", "to"),
        ("from=0003-01-01T00:00:00Z&to=9996-01-01T00:00:00Z", "to"),
        ("from=today&to=tomorrow", "from"),
    ],
)
def test_window_that_is_refused(api: ContractClient, query: str, field: str) -> None:
    room = factories.make_room()
    for path in (f"/stores/{room.store_id}", f"/rooms/{room.id}"):
        answer = api.get(f"/api/v1{path}/availability?{query}")
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_field")
        assert field in answer.json["errors"]


def test_window_may_be_extreme(api: ContractClient) -> None:
    room = factories.make_room()
    for year in ("0003", "9996"):
        window = f"from={year}-01-01T00:00:00Z&to={year}-01-31T00:00:00Z"
        answer = api.get(f"/api/v1/rooms/{room.id}/availability?{window}")
        assert (answer.status_code, [span["state"] for span in answer.json["spans"]]) == (200, ["closed"])


def test_plus_sign_may_arrive_as_a_blank(api: ContractClient) -> None:
    room = factories.make_room()
    lost = WINDOW.replace("%2B", "+")
    assert api.get(f"/api/v1/rooms/{room.id}/availability?{lost}").status_code == 200


def test_calendar_of_a_month(api: ContractClient) -> None:
    room = factories.make_room()
    days = api.get(f"/api/v1/rooms/{room.id}/calendar?month=2026-03").json
    assert [day["date"] for day in days] == [str(date(2026, 3, 1) + timedelta(days=n)) for n in range(31)]
    assert days[0]["free_minutes"] == 0
    assert (days[9]["free_minutes"], days[9]["price_from_fen"]) == (1440, 6000)
    for month in ("2026-13", "26-03", "0000-01", "march12"):
        answer = api.get(f"/api/v1/rooms/{room.id}/calendar?month={month}")
        assert (answer.status_code, list(answer.json["errors"])) == (422, ["month"])
