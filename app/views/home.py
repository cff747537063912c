"""The first page after logging in: what needs somebody today."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from flask import redirect
from flask_appbuilder import IndexView, expose
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.domain.clock import utc_now
from app.services import board, today
from app.views.kit.current import current_actor


class RoomState(NamedTuple):
    """What a room's state is called, and its colour."""

    label: Any
    colour: str


ROOM_STATES: dict[str, RoomState] = {
    "free": RoomState(_l("Free"), "green"),
    "held": RoomState(_l("Held"), "yellow"),
    "reserved": RoomState(_l("Reserved"), "blue"),
    "in_use": RoomState(_l("In use"), "red"),
    "cleaning": RoomState(_l("Cleaning"), "cyan"),
    "blocked": RoomState(_l("Out of use"), "secondary"),
    "closed": RoomState(_l("Closed"), "secondary"),
}


class TaskWords(NamedTuple):
    """What a kind of task is called, its icon and its colour."""

    label: Any
    icon: str
    colour: str


TASKS: dict[str, TaskWords] = {
    "door": TaskWords(_l("The door did not answer"), "door", "orange"),
    "overtime": TaskWords(_l("Overtime is running"), "clock-pause", "red"),
    "confirm": TaskWords(_l("Booking to confirm"), "check", "yellow"),
    "refund": TaskWords(_l("Refund that needs attention"), "receipt-refund", "red"),
    "blocked": TaskWords(_l("Booked, but the room is out of use"), "calendar-off", "orange"),
    "unpaid": TaskWords(_l("Left without paying all"), "coin", "orange"),
}


def by_store(rooms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `{name, rooms, counts}` of each store in the order of *rooms*; counts name the states there."""
    groups: dict[int, dict[str, Any]] = {}
    for room in rooms:
        group = groups.setdefault(room["store_id"], {"name": room["store"], "rooms": []})
        group["rooms"].append(room)
    for group in groups.values():
        found = Counter(room["state"] for room in group["rooms"])
        group["counts"] = [(state, found[state]) for state in ROOM_STATES if found[state]]
    return list(groups.values())


class HomeView(IndexView):
    """Today's figures, work that waits, and what the rooms are doing."""

    route_base = ""
    default_view = "index"

    @expose("/")
    def index(self) -> Any:
        """The page, or the login form for who is not logged in."""
        if not current_user.is_authenticated:
            return redirect(self.appbuilder.get_url_for_login)
        actor, now = current_actor(), utc_now()
        return self.render_template(
            "pages/home.html",
            figures=today.get_figures(actor=actor, now=now),
            work=today.list_work(actor=actor, now=now),
            tasks=today.list_tasks(actor=actor, now=now),
            task_words=TASKS,
            arrivals=today.list_arrivals(actor=actor, now=now),
            stores=by_store(board.list_rooms_now(actor=actor, now=now)),
            room_states=ROOM_STATES,
        )
