"""Booking rules, opening hours and room blocks: what counts where is shown, what is wrong is said."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.extensions import db
from app.models import AuditEntry, BookingPolicy, OpeningHours, Room, RoomBlock, Store
from app.services import stays
from app.views.policies import RANGES
from tests import factories
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import Visitor, main_of


@pytest.fixture
def manager(log_in: LogIn) -> Visitor:
    return log_in("Manager")


@pytest.fixture
def quiet(shop: Shop) -> Room:
    return factories.make_room(shop.store, name="竹影")


def page_of(answer: TestResponse) -> str:
    return answer.get_data(as_text=True)


def form_of(page: str) -> dict[str, Any]:
    """Return what the form of a page would post, untouched."""
    form = page.partition("<main")[2].partition("</main>")[0]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]+>", form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        kind, name = attributes.get("type", "text"), attributes.get("name")
        if name and (kind != "checkbox" or " checked" in tag) and kind != "search":
            found.setdefault(name, []).append(attributes.get("value", "y"))
    for name, options in re.findall(r'<select[^>]+name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.findall(
            r'<option[^>]*value="([^"]*)"[^>]* selected|<option selected[^>]*value="([^"]*)"', options
        )
        found[name] = ["".join(pair) for pair in chosen]
    return found


def test_a_rooms_rules_are_told_apart_from_the_stores(shop: Shop, manager: Visitor, quiet: Room) -> None:
    default = shop.rows(BookingPolicy)[0]
    own = factories.make_policy(shop.store, room_id=quiet.id, min_minutes=180, cancel_steps=[])
    page = main_of(manager.get(f"/booking-policies/show/{own.id}"))

    table = page_of(manager.get(f"/booking-policies/show/{own.id}")).partition("policy-table")[2]
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', table.partition("</table>")[0], re.DOTALL)
    cells = [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row)] for row in rows
    ]
    assert cells[0] == ["60", "180"] and len(cells) == 2
    assert "听雨" not in page
    store_page = page_of(manager.get(f"/booking-policies/show/{default.id}"))
    assert f'href="/booking-policies/show/{own.id}"' in store_page
    assert f'href="/booking-policies/add?room_id={shop.room.id}"' in store_page
    assert f"room_id={quiet.id}" not in store_page
    listed = main_of(manager.get("/booking-policies/list/"))
    assert "竹影" in listed


def test_a_rooms_own_rules_start_as_those_of_the_store(shop: Shop, manager: Visitor, quiet: Room) -> None:
    default = shop.rows(BookingPolicy)[0]
    default.min_minutes, default.max_minutes = 90, 300
    db.session.commit()
    form = form_of(page_of(manager.get(f"/booking-policies/add?room_id={quiet.id}")))

    assert (form["min_minutes"], form["max_minutes"]) == (["90"], ["300"])
    assert form["cancel_steps"][:4] == ["120", "0", "0", "30"]
    answer = manager.post("/booking-policies/add", data=form | {"min_minutes": "120"})

    assert answer.status_code == 302, main_of(answer)
    own = shop.rows(BookingPolicy)[1]
    assert (own.room_id, own.min_minutes, own.max_minutes) == (quiet.id, 120, 300)
    assert own.cancel_steps == shop.rows(BookingPolicy)[0].cancel_steps
    assert [row.action for row in shop.rows(AuditEntry)] == ["create"]


def test_rooms_that_do_not_follow_are_named_when_the_store_changes(
    shop: Shop, manager: Visitor, quiet: Room
) -> None:
    default = shop.rows(BookingPolicy)[0]
    factories.make_policy(shop.store, room_id=quiet.id)
    address = f"/booking-policies/edit/{default.id}"
    form = form_of(page_of(manager.get(address)))
    answer = manager.post(address, data=form | {"hold_minutes": "20"})

    assert answer.status_code == 302
    assert (
        "竹影" in page_of(manager.get(answer.location)).partition("app-messages")[2].partition("</main>")[0]
    )
    assert [row.hold_minutes for row in shop.rows(BookingPolicy)] == [20, 15]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(({name: str(high + 1)}, name) for name, (_low, high) in RANGES.items()),
        *(({name: str(low - 1)}, name) for name, (low, _high) in RANGES.items()),
        ({"min_minutes": "300", "max_minutes": "60"}, "max_minutes"),
        ({"overtime_cap_fen": "0"}, "overtime_cap_fen"),
        ({"cancel_steps": ["60", "", "", ""]}, "cancel_steps"),
        ({"change_steps": ["60", "101", ""]}, "change_steps"),
    ],
)
def test_wrong_rules_are_refused_beside_their_field(
    shop: Shop, manager: Visitor, change: dict[str, Any], field: str
) -> None:
    address = f"/booking-policies/edit/{shop.rows(BookingPolicy)[0].id}"
    form = form_of(page_of(manager.get(address)))
    with unchanged():
        answer = manager.post(address, data=form | change)

    assert answer.status_code == 422
    assert f'id="{field}-error"' in page_of(answer)


def test_the_coming_week_tells_special_days_and_nights(shop: Shop, manager: Visitor) -> None:
    for hours in shop.rows(OpeningHours):
        hours.opens_minute, hours.closes_minute = 600, 1560
    db.session.add(OpeningHours(store_id=shop.store.id, on_date=date(2026, 3, 6), is_closed=True))
    special = {"opens_minute": 840, "closes_minute": 1200}
    db.session.add(OpeningHours(store_id=shop.store.id, on_date=date(2026, 3, 7), **special))
    db.session.commit()
    page = page_of(manager.get("/opening-hours/list/"))

    row = page.partition("opening-week")[2].partition("<tbody>")[2].partition("</tr>")[0]
    days = [re.sub(r"<[^>]+>", " ", cell).split() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    assert len(days) == 7
    # Wednesday is today; the night ends at two.
    assert days[0][0].startswith("10:00–") and days[0][-1].endswith("02:00")
    assert row.count('class="is-special"') == 2
    assert days[3][0] == "14:00–20:00"


def test_bookings_that_opening_hours_no_longer_cover_are_named(shop: Shop, manager: Visitor) -> None:
    no = shop.paid_booking(start=27, hours=2)
    assert no not in page_of(manager.get("/opening-hours/list/"))
    form = {"store": str(shop.store.id), "on_date": "2026-03-05", "is_closed": "y"}
    form |= {"weekday": "", "opens_minute": "00:00", "closes_minute": "24:00"}
    assert manager.post("/opening-hours/add", data=form).status_code == 302

    assert f'href="/orders/{no}"' in page_of(manager.get("/opening-hours/list/"))


def test_a_block_names_the_bookings_in_it_and_is_saved_only_knowingly(
    shop: Shop, manager: Visitor, other_store: Store
) -> None:
    gone = shop.paid_booking(start=0, hours=1)
    stays.check_in(gone, actor=shop.guest, now=shop.now)
    stays.check_out(gone, actor=shop.guest, now=shop.at(minutes=30))
    no = shop.paid_booking(start=3, hours=2)
    shop.book(start=6)
    form = {
        "store": str(shop.store.id),
        "room": str(shop.room.id),
        "start_at": "2026-03-04 12:00",
        "end_at": "2026-03-04 17:00",
        "reason": "漏水",
    }
    with unchanged():
        refused = manager.post("/room-blocks/add", data=form)
    assert refused.status_code == 409
    assert no in main_of(refused) and gone not in main_of(refused)

    saved = manager.post("/room-blocks/add", data=form | {"are_bookings_kept": "y"})

    assert saved.status_code == 302
    assert [block.reason for block in shop.rows(RoomBlock)] == ["漏水"]
    assert no in main_of(manager.get(saved.location))
    assert f'href="/orders/{no}"' in page_of(manager.get("/"))
    assert "漏水" in main_of(manager.get(f"/orders/{no}"))
    # The booking stays, and can be moved away.
    move = manager.get(f"/orders/{no}/move?start_at=2026-03-04+18:30")
    assert move.status_code == 409
    assert manager.get(f"/orders/{no}/move?start_at=2026-03-04+21:00").status_code == 200
