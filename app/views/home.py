"""The first page after logging in: what needs somebody today."""

from __future__ import annotations

from typing import Any

from flask import redirect
from flask_appbuilder import IndexView, expose
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.domain.clock import utc_now
from app.services import board, today
from app.views.kit.current import current_actor

# What rooms are called by what they are doing.
ROOM_STATES: dict[str, Any] = {
    "free": _l("Free"),
    "held": _l("Held"),
    "reserved": _l("Reserved"),
    "in_use": _l("In use"),
    "cleaning": _l("Cleaning"),
    "blocked": _l("Out of use"),
    "closed": _l("Not open"),
}


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
            arrivals=today.list_arrivals(actor=actor, now=now),
            rooms=board.list_rooms_now(actor=actor, now=now),
            room_states=ROOM_STATES,
        )
