"""Orders in the back office: the list, the page of one, its next actions and what they would cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import segno
from flask import abort, current_app, flash, redirect, request, url_for
from flask_appbuilder import expose, has_access
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.errors import DomainError, InvalidField, NotFound
from app.domain.slots import Span
from app.domain.states import OrderStatus
from app.models import Order
from app.services import channels, extensions, room_moves, staff_orders, stay_previews
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
from app.views.base import KitInterface, LedgerView, ShortAddress
from app.views.kit.current import current_actor
from app.views.moments import read_instant
from app.views.once import answer_once
from app.views.shapes import length_text

NO_ADJUSTING = _l("Your role may not adjust prices.")
NO_ACTING = _l("Your role may not do this.")
LENGTHS = (60, 90, 120, 180, 240, 300, 360, 480, 600, 720)
LOCAL = "%Y-%m-%d %H:%M"


class OrderView(ShortAddress, LedgerView):
    """Every order in scope."""

    route_base = "/orders"
    datamodel = KitInterface(Order)
    list_title = _l("Orders")
    item_title = _l("Order")
    label_columns = {
        "no": _l("Number"),
        "subject": _l("Subject"),
        "source": _l("Source"),
        "customer": _l("Customer"),
        "campaign": _l("Group-buy campaign"),
        "paid_fen": _l("Paid"),
        "refunded_fen": _l("Refunded"),
        "paid_at": _l("Paid at"),
    }
    list_columns = ["no", "subject", "start_at", "customer", "status", "total_fen", "paid_fen", "created_at"]
    show_columns = [*list_columns, "kind", "store", "source", "campaign", "refunded_fen", "paid_at"]
    export_columns = [
        *("no", "kind", "status", "store", "subject", "start_at", "end_at", "source"),
        *("total_fen", "paid_fen", "refunded_fen", "created_at", "paid_at"),
    ]
    eager_columns = ("bookings.room", "campaign", "store")
    search_columns = ["status", "kind", "store", "source", "created_at"]
    quick_search_columns = ["no"]
    quick_search_hint = _l("Order number")
    order_columns = ["no", "total_fen", "paid_fen", "created_at"]
    base_order = ("created_at", "desc")
    method_permission_name = {
        "index": "read",
        "page": "read",
        "perform": "act",
        "adjust": "adjust",
        "move": "act",
        "extend": "act",
    }

    @expose("/<string:no>")
    @has_access
    def page(self, no: str) -> Any:
        """One order with its lines, money, vouchers, history and next actions."""
        try:
            order = staff_orders.get_order_page(no, actor=current_actor(), now=utc_now())
        except DomainError as error:
            return self._not_there(error)
        _limit_to_role(order)
        if wants_json():
            return json_answer(order)
        order["trail"] = words.trail_of(order)
        return self.render_template("pages/order.html", order=order, words=words, length_text=length_text)

    @expose("/<string:no>/actions/<string:name>", methods=["POST"])
    @has_access
    def perform(self, no: str, name: str) -> Any:
        """Carry out one of the next actions."""
        return self._act(no, name)

    @expose("/<string:no>/actions/adjust", methods=["POST"])
    @has_access
    def adjust(self, no: str) -> Any:
        """Add an extra or a discount; a permission of its own."""
        return self._act(no, "adjust")

    def _act(self, no: str, name: str) -> Any:
        values = posted_values()

        def act() -> dict[str, Any]:
            return staff_orders.perform_action(
                no, name, words.with_fen(values), actor=current_actor(), now=utc_now()
            )

        answer = answer_once(values, act)
        if wants_json():
            return answer
        if answer.status_code >= 400:
            return self._refused(no, name, values, answer)
        if answer.json.get("params"):
            return self._payment_page(no, answer.json)
        text, kind = words.done_text(name, answer.json)
        flash(text, kind)
        return redirect(url_for("OrderView.page", no=no))

    def _refused(self, no: str, name: str, values: dict[str, Any], answer: Any) -> Any:
        """Back to where the action was asked for, with what refused it."""
        if answer.status_code == 404:
            abort(404)
        flash(told_refusal(answer.json), "danger")
        asked = {key: values[key] for key in ("room_id", "start_at", "end_at", "minutes") if values.get(key)}
        return redirect(url_for(words.PAGES.get(name, "OrderView.page"), no=no, **asked))

    def _not_there(self, error: DomainError) -> Any:
        return problem(error) if wants_json() else abort(404)

    def _payment_page(self, no: str, answer: dict[str, Any]) -> Any:
        address = answer["params"].get("code_url", "")
        picture = segno.make(address, error="m").svg_inline(scale=6, border=2) if address else ""
        order = staff_orders.get_order_page(no, actor=current_actor(), now=utc_now())
        codes = words.code_names(channels.code_channels(order["store"] and int(order["store"]["id"])))
        return self.render_template(
            "pages/collect.html",
            order=order,
            payment=answer,
            picture=picture,
            scanner=codes.pop(answer["channel"], ""),
            others=codes,
        )

    @expose("/<string:no>/move", methods=["GET"])
    @has_access
    def move(self, no: str) -> Any:
        """Another room or time: which rooms are free then, and what the move would cost."""
        return self._preview(no, "pages/move.html", _move_facts)

    @expose("/<string:no>/extend", methods=["GET"])
    @has_access
    def extend(self, no: str) -> Any:
        """More minutes: what follows in the room, and what they would cost."""
        return self._preview(no, "pages/extend.html", _extend_facts)

    def _preview(self, no: str, template: str, look: Any) -> Any:
        """Show what *look* finds, as a page with its refusal, or as JSON."""
        try:
            order = staff_orders.get_order_page(no, actor=current_actor(), now=utc_now())
            if not order["room"]:
                raise NotFound()
            facts = look(order)
        except DomainError as error:
            return self._not_there(error)
        refusal = facts.pop("refusal")
        if wants_json():
            return problem(refusal) if refusal else json_answer(facts)
        shown = {"error": refusal_text(refusal) if refusal else "", "alternatives": _places(refusal, facts)}
        page = self.render_template(
            template, order=order, words=words, length_text=length_text, **facts, **shown
        )
        return page, refusal.status if refusal else 200

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Any:
        """Rows of the list lead to the page under the order's number."""
        item = self.datamodel.get(pk, self._base_filters)
        if item is None:
            abort(404)
        return redirect(url_for("OrderView.page", no=item.no))


def _limit_to_role(order: dict[str, Any]) -> None:
    """Say of what the order allows and the role does not why it cannot be done."""
    may = current_app.appbuilder.sm.has_access  # type: ignore[attr-defined]
    for action in order["actions"]:
        permission, reason = (
            ("can_adjust", NO_ADJUSTING) if action["name"] == "adjust" else ("can_act", NO_ACTING)
        )
        if action["allowed"] and not may(permission, "OrderView"):
            action["allowed"], action["reason"] = False, reason


def _move_facts(order: dict[str, Any]) -> dict[str, Any]:
    """Return the rooms at the wanted time, what the form shows, and the preview or its refusal."""
    actor, now, refusal, preview, span, rooms = current_actor(), utc_now(), None, None, None, None
    present_id = str(order["room"]["id"])
    wanted: dict[str, Any] = {"room_id": request.args.get("room_id") or present_id}
    try:
        # Guests who are in keep their time.
        if order["state"] is not OrderStatus.IN_USE:
            span = read_span(request.args, order)
        rooms = room_moves.list_rooms(order["no"], span, actor=actor, now=now)
        if span is not None:
            wanted |= {"start_at": span.start_at.isoformat(), "end_at": span.end_at.isoformat()}
        if span is not None or wanted["room_id"] != present_id:
            preview = room_moves.preview_move(order["no"], wanted, actor=actor, now=now)
    except DomainError as error:
        refusal = error
    if rooms is None:
        rooms = room_moves.list_rooms(order["no"], None, actor=actor, now=now)
    form = _move_form(order, span or Span(order["start_at"], order["end_at"]))
    return {"rooms": rooms, "preview": preview, "wanted": wanted, "form": form, "refusal": refusal}


def _move_form(order: dict[str, Any], shown: Span) -> dict[str, Any]:
    return {
        "start_at": shown.start_at.astimezone(order["start_at"].tzinfo).strftime(LOCAL),
        "minutes": shown.minutes,
        "lengths": sorted({*LENGTHS, shown.minutes}),
    }


def read_span(values: Any, order: dict[str, Any]) -> Span | None:
    """Read the time to which a booking shall move; None where only its room changes.

    `start_at` alone keeps the length; `minutes` or `end_at` set it. Raises InvalidField.
    """
    tz = order["start_at"].tzinfo
    start: datetime = order["start_at"]
    end: datetime = order["end_at"]
    if values.get("start_at"):
        start = read_instant(values, "start_at", tz)
        end = start + (order["end_at"] - order["start_at"])
    if values.get("minutes"):
        minutes = whole_number(values, "minutes", _l("Please give the minutes."))
        if minutes > room_moves.LONGEST_MINUTES:
            raise InvalidField.of("minutes", _l("The number is too small or too large."))
        end = start + timedelta(minutes=minutes)
    elif values.get("end_at"):
        end = read_instant(values, "end_at", tz)
    span = Span(start, end)
    return None if span == Span(order["start_at"], order["end_at"]) else span


def _extend_facts(order: dict[str, Any]) -> dict[str, Any]:
    """Return what follows, some lengths with their prices, and the preview of the wanted minutes."""
    actor, now, refusal, preview, minutes = current_actor(), utc_now(), None, None, 0
    try:
        if request.args.get("minutes"):
            minutes = whole_number(request.args, "minutes", _l("Please give the minutes."))
            preview = extensions.preview_minutes(order["no"], minutes, actor=actor, now=now)
    except DomainError as error:
        refusal = error
    choices = stay_previews.list_choices(order["no"], actor=actor, now=now)
    facts = {"ahead": order["ahead"], "choices": choices, "preview": preview, "minutes": minutes}
    return facts | {"refusal": refusal}


def _places(refusal: DomainError | None, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nearest places that a refusal offers instead, with the names of their rooms."""
    names = {str(room["room_id"]): room["name"] for room in facts.get("rooms", [])}
    found = []
    for each in ((refusal and refusal.data) or {}).get("alternatives", []):
        times = {name: datetime.fromisoformat(each[name]) for name in ("start_at", "end_at")}
        room = {"id": each["room_id"], "name": names.get(each["room_id"], "")}
        found.append(each | times | {"room": room})
    return found
