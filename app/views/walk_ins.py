"""Walk-ins: guests at the counter get a room from this minute, at a price that they hear first."""

from __future__ import annotations

from typing import Any

from flask import redirect, request, url_for
from flask_appbuilder import BaseView, expose, has_access
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.errors import DomainError
from app.services import walk_ins
from app.views import order_words as words
from app.views.answers import (
    json_answer,
    posted_values,
    problem,
    refusal_text,
    told_refusal,
    wants_json,
    whole_number,
)
from app.views.kit.current import current_actor
from app.views.once import answer_once
from app.views.shapes import length_text

LENGTHS = (60, 90, 120, 180, 240, 300, 360, 480, 600, 720)
USUAL_MINUTES = 120


class WalkInView(BaseView):
    """Guests at the counter: a free room from now, paid at once by QR code."""

    route_base = "/walk-ins"
    default_view = "form"
    class_permission_name = "WalkInView"
    method_permission_name = {"form": "read", "create": "write"}

    @expose("/", methods=["GET"])
    @has_access
    def form(self) -> Any:
        """The rooms that are free now, and the price of one of them once it is chosen."""
        rooms = walk_ins.list_free_rooms(actor=current_actor(), now=utc_now())
        preview, refusal = None, None
        if request.args.get("room_id"):
            try:
                preview = _preview(dict(request.args))
            except DomainError as error:
                refusal = error
        if wants_json():
            return problem(refusal) if refusal else json_answer({"rooms": rooms, "preview": preview})
        shown = {"error": refusal_text(refusal) if refusal else "", "values": request.args}
        page = self._page(rooms, preview=preview, **shown)
        return page, refusal.status if refusal else 200

    @expose("/", methods=["POST"])
    @has_access
    def create(self) -> Any:
        """Open an order for a room from this minute."""
        values = posted_values()
        answer = answer_once(values, lambda: {"no": _create(values)}, status=201)
        if wants_json():
            return answer
        if answer.status_code < 400:
            return redirect(url_for("OrderView.page", no=answer.json["no"]))
        rooms = walk_ins.list_free_rooms(actor=current_actor(), now=utc_now())
        page = self._page(rooms, preview=None, error=told_refusal(answer.json), values=values)
        return page, answer.status_code

    def _page(self, rooms: list[dict[str, Any]], *, values: Any, **facts: Any) -> Any:
        minutes = str(values.get("minutes") or "")
        chosen = int(minutes) if minutes.isdecimal() and len(minutes) < 5 else USUAL_MINUTES
        return self.render_template(
            "pages/walk_in.html",
            stores=_by_store(rooms),
            values=values,
            minutes=chosen,
            lengths=sorted({*LENGTHS, chosen}),
            others=_others(rooms, values, chosen) if facts.get("error") else {},
            length_text=length_text,
            words=words,
            **facts,
        )


def _preview(values: dict[str, Any]) -> dict[str, Any]:
    room_id, minutes = _wanted(values)
    return walk_ins.preview_walk_in(room_id, minutes=minutes, actor=current_actor(), now=utc_now())


def _create(values: dict[str, Any]) -> str:
    room_id, minutes = _wanted(values)
    note = str(values.get("note") or "")[:200]
    return walk_ins.create_walk_in(room_id, minutes=minutes, note=note, actor=current_actor(), now=utc_now())


def _wanted(values: dict[str, Any]) -> tuple[int, int]:
    room_id = whole_number(values, "room_id", _l("Please choose a room."))
    return room_id, whole_number(values, "minutes", _l("Please give the minutes."))


def _by_store(rooms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[int, dict[str, Any]] = {}
    for room in rooms:
        groups.setdefault(room["store_id"], {"name": room["store"], "rooms": []})["rooms"].append(room)
    return list(groups.values())


def _others(rooms: list[dict[str, Any]], values: Any, minutes: int) -> dict[str, Any]:
    """Return what can be had instead: other free rooms for as long, or less time in the chosen one."""
    wanted = next((room for room in rooms if str(room["room_id"]) == str(values.get("room_id"))), None)
    store_id = wanted["store_id"] if wanted else None
    fitting = [room for room in rooms if room["minutes"] >= minutes and room is not wanted]
    # Guests stand at the counter of one store; its rooms come first.
    fitting.sort(key=lambda room: room["store_id"] != store_id)
    shorter = [length for length in LENGTHS if wanted and length <= wanted["minutes"] and length < minutes]
    return {"rooms": fitting[:3], "room": wanted, "minutes": shorter[-1] if shorter else None}
