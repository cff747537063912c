"""Try a date: which price rule wins on each piece of a time and why, and a week of prices by the hour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from flask import request
from flask_appbuilder import BaseView, expose, has_access
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.errors import DomainError, InvalidField
from app.services import price_trials
from app.services.price_trials import Trial
from app.views import price_trial_words as words
from app.views.answers import json_answer, problem, refusal_text, wants_json, whole_number
from app.views.kit.current import current_actor
from app.views.kit.values import InvalidText, parse_date
from app.views.moments import read_instant
from app.views.shapes import day_name, length_text

COLOURS = (
    *("blue", "green", "orange", "purple", "teal", "pink", "yellow", "cyan", "red", "lime", "indigo"),
    "azure",
)
# What the form shows before anything was chosen: three hours from the next full hour on.
FIRST_HOURS = 3


class PriceTrialView(BaseView):
    """The owner's look at prices before a customer sees them; nothing is saved."""

    route_base = "/price-trials"
    default_view = "form"
    class_permission_name = "PriceTrialView"
    method_permission_name = {"form": "read", "grid": "read"}

    @expose("/", methods=["GET"])
    @has_access
    def form(self) -> Any:
        """One tried time with its explanation, as a page or as JSON."""
        if not wants_json():
            return self._page()
        try:
            found = price_trials.explain(read_trial(request.args), actor=current_actor())
        except DomainError as error:
            return problem(error)
        return json_answer(with_texts(found))

    @expose("/grid", methods=["GET"])
    @has_access
    def grid(self) -> Any:
        """The prices of a week by the hour, as JSON."""
        try:
            room_id = whole_number(request.args, "room_id", _l("Please choose a room."))
            week_on = read_week(request.args)
            drafts = has_drafts(request.args)
            found = price_trials.price_grid(room_id, week_on, with_drafts=drafts, actor=current_actor())
        except DomainError as error:
            return problem(error)
        return json_answer(found)

    def _page(self) -> Any:
        choices = price_trials.list_choices(actor=current_actor())
        values = form_values(request.args, choices)
        facts: dict[str, Any] = {"trial": None, "week": None, "error": ""}
        status = 200
        if values["room_id"]:
            facts, status = _tried(values)
        page = self.render_template(
            "pages/price_trial.html",
            stores=[store for store in choices if store["rooms"]],
            values=values,
            words=words,
            day_name=day_name,
            length_text=length_text,
            **facts,
        )
        return page, status


def _tried(values: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Return what the page shows of the tried values, and the status of the answer."""
    trial, week, error, status = None, None, "", 200
    try:
        wanted = read_trial(values)
        week_on = read_week(values)
        found = price_trials.price_grid(
            wanted.room_id, week_on, with_drafts=wanted.with_drafts, actor=current_actor()
        )
        week = week_columns(found, None)
        trial = with_texts(price_trials.explain(wanted, actor=current_actor()))
        week = week_columns(found, (trial["start_at"], trial["end_at"]))
    except DomainError as refusal:
        error, status = refusal_text(refusal), refusal.status
    return {"trial": trial, "week": week, "error": error}, status


def form_values(values: Mapping[str, Any], choices: list[dict[str, Any]]) -> dict[str, str]:
    """Return what the form shows: what was asked for, else the first room and the next hours."""
    names = ("room_id", "start_at", "end_at", "session_id", "week_on", "drafts")
    shown = {name: str(values.get(name) or "") for name in names}
    rooms = [room for store in choices for room in store["rooms"]]
    if not shown["room_id"] and rooms:
        shown["room_id"] = str(rooms[0]["id"])
    if not shown["start_at"] and shown["room_id"]:
        shown |= _next_hours(shown)
    return shown


def _next_hours(shown: Mapping[str, str]) -> dict[str, str]:
    try:
        tz = _zone(shown)
    except DomainError:
        return {}
    start = utc_now().astimezone(tz).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    end = start + timedelta(hours=FIRST_HOURS)
    return {"start_at": start.strftime("%Y-%m-%d %H:%M"), "end_at": end.strftime("%Y-%m-%d %H:%M")}


def _zone(values: Mapping[str, Any]) -> ZoneInfo:
    room_id = whole_number(dict(values), "room_id", _l("Please choose a room."))
    return price_trials.find_room(room_id, actor=current_actor()).tz


def read_trial(values: Mapping[str, Any]) -> Trial:
    """Read what is to be tried from a query string; raises InvalidField, NotFound.

    Times are RFC 3339 with an offset, or ``YYYY-MM-DD HH:MM`` on the clock of the room's store. With a
    session the end is its own.
    """
    tz = _zone(values)
    session_id = values.get("session_id") or None
    if session_id is not None:
        session_id = whole_number(dict(values), "session_id", _l("This session does not exist here."))
    has_end = session_id is None and values.get("end_at")
    return Trial(
        room_id=int(values["room_id"]),
        start_at=read_instant(values, "start_at", tz),
        end_at=read_instant(values, "end_at", tz) if has_end else None,
        session_id=session_id,
        with_drafts=has_drafts(values),
    )


def has_drafts(values: Mapping[str, Any]) -> bool:
    """Tell whether inactive rules are to count."""
    return str(values.get("drafts") or "").lower() in ("1", "on", "true", "y")


def read_week(values: Mapping[str, Any]) -> date:
    """Return the first day of the week to show: the one asked for, else the Monday before the start."""
    try:
        if values.get("week_on"):
            return parse_date(str(values["week_on"])[:20])
    except InvalidText as wrong:
        raise InvalidField.of("week_on", wrong.args[0]) from None
    tz = _zone(values)
    on = read_instant(values, "start_at", tz).astimezone(tz).date()
    return on - timedelta(days=on.weekday())


def with_texts(trial: dict[str, Any]) -> dict[str, Any]:
    """Return a trial with its sentences."""
    pieces = [piece | {"text": words.why_text(piece)} for piece in trial["pieces"]]
    warnings = [warning | {"text": words.warning_text(warning)} for warning in trial["warnings"]]
    return trial | {"pieces": pieces, "warnings": warnings}


def week_columns(grid: dict[str, Any], tried: tuple[datetime, datetime] | None) -> dict[str, Any]:
    """Return a grid as a table shows it: rules with colours, and each day as blocks of equal hours.

    The hours that the tried local times touch are blocks of their own.
    """
    hourly = [rule for rule in grid["rules"] if rule["kind"] == "hourly"]
    colours = {rule["rule_id"]: COLOURS[index % len(COLOURS)] for index, rule in enumerate(hourly)}
    days = {day["on"]: day | {"blocks": {}} for day in grid["days"]}

    def same_block(hour: dict[str, Any]) -> tuple[Any, ...]:
        ids = tuple(winner and winner["rule_id"] for winner in hour["winners"])
        return hour["on"], ids, _is_tried(hour, tried)

    for (on, ids, is_tried), group in groupby(grid["hours"], key=same_block):
        hours = list(group)
        first = hours[0]
        days[on]["blocks"][first["hour"]] = {
            "hours": len(hours),
            "winners": first["winners"],
            "colour": colours.get(ids[0], "") if len(ids) == 1 else "",
            "is_gap": None in ids or not ids,
            "is_tried": is_tried,
        }
    first_on = grid["first_on"]
    return {
        "days": list(days.values()),
        "hourly": [rule | {"colour": colours[rule["rule_id"]]} for rule in hourly],
        "flat": [rule for rule in grid["rules"] if rule["kind"] != "hourly"],
        "colours": colours,
        "first_on": first_on,
        "earlier_on": first_on - timedelta(days=7),
        "later_on": first_on + timedelta(days=7),
    }


def _is_tried(hour: dict[str, Any], tried: tuple[datetime, datetime] | None) -> bool:
    if tried is None:
        return False
    start, end = (moment.replace(tzinfo=None) for moment in tried)
    begins = datetime.combine(hour["on"], time(hour["hour"]))
    return start < begins + timedelta(hours=1) and begins < end
