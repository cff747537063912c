"""Orders in the back office: list, page, next actions, and walk-ins at the counter."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import segno
from flask import abort, flash, redirect, request, url_for
from flask_appbuilder import BaseView, expose, has_access
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup
from werkzeug.wrappers import Response

from app.domain.clock import utc_now
from app.domain.errors import DomainError, InvalidField
from app.domain.events import event_label, reason_label
from app.domain.money import format_fen
from app.models import Order, Payment, Refund
from app.services import board, staff_orders, walk_ins
from app.views.answers import json_answer, posted_values, problem, wants_json, whole_number
from app.views.base import KitInterface, LedgerView
from app.views.home import by_store
from app.views.kit.current import current_actor
from app.views.kit.values import InvalidText, format_instant, parse_yuan
from app.views.messages import event_text
from app.views.shapes import length_text

ACTION_LABELS: dict[str, Any] = {
    "confirm": _l("Confirm"),
    "refuse": _l("Refuse"),
    "take_payment": _l("Collect payment"),
    "check_in": _l("Check in"),
    "check_out": _l("Check out"),
    "cancel": _l("Cancel order"),
    "adjust": _l("Adjust the price"),
}

ACTION_ICONS = {
    "confirm": "check",
    "take_payment": "qrcode",
    "check_in": "door-enter",
    "check_out": "logout",
}
ACTION_QUESTIONS: dict[str, Any] = {
    "check_in": _l("Let the guests in now?"),
    "check_out": _l("End the stay now? The room becomes free."),
}
ALARMING = frozenset({"pay_failed", "refund_abnormal", "door_failed", "refuse"})


class OrderView(LedgerView):
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
    method_permission_name = {"index": "read", "page": "read", "perform": "act"}

    @expose("/")
    @has_access
    def index(self) -> Response:
        """The list at its short address."""
        return redirect(url_for("OrderView.list"))

    @expose("/<string:no>")
    @has_access
    def page(self, no: str) -> Any:
        """One order with its lines, money, vouchers, history and next actions."""
        try:
            order = staff_orders.get_order_page(no, actor=current_actor(), now=utc_now())
        except DomainError as error:
            if wants_json():
                return problem(error)
            abort(404)
        if wants_json():
            return json_answer(order)
        order["trail"] = _trail(order)
        # These ask for more than a button can tell.
        order["actions"] = [each for each in order["actions"] if each["name"] not in ("move", "add_minutes")]
        return self.render_template(
            "pages/order.html",
            order=order,
            labels=ACTION_LABELS,
            action_icons=ACTION_ICONS,
            confirms=ACTION_QUESTIONS,
            alarming=("refuse", "cancel"),
        )

    @expose("/<string:no>/actions/<string:name>", methods=["POST"])
    @has_access
    def perform(self, no: str, name: str) -> Any:
        """Carry out one of the next actions."""
        try:
            answer = staff_orders.perform_action(
                no, name, with_fen(posted_values()), actor=current_actor(), now=utc_now()
            )
        except DomainError as error:
            return self._refused(error, no)
        if wants_json():
            return json_answer(answer)
        if answer.get("payment_no"):
            return self._payment_page(no, answer)
        flash(self._done_text(answer), "success")
        return redirect(url_for("OrderView.page", no=no))

    def _refused(self, error: DomainError, no: str) -> Any:
        if wants_json():
            return problem(error)
        if error.status == 404:
            abort(404)
        flash(refusal_text(error), "danger")
        return redirect(url_for("OrderView.page", no=no))

    def _done_text(self, answer: dict[str, Any]) -> str:
        access = answer.get("access")
        if access and access.get("code"):
            return str(_("Done. Door code: %(code)s", code=access["code"]))
        return str(_("Done."))

    def _payment_page(self, no: str, answer: dict[str, Any]) -> Any:
        address = answer["params"].get("code_url", "")
        picture = segno.make(address, error="m").svg_inline(scale=6, border=2) if address else ""
        order = staff_orders.get_order_page(no, actor=current_actor(), now=utc_now())
        return self.render_template("pages/collect.html", order=order, payment=answer, picture=picture)

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Any:
        """Rows of the list lead to the page under the order's number."""
        item = self.datamodel.get(pk, self._base_filters)
        if item is None:
            abort(404)
        return redirect(url_for("OrderView.page", no=item.no))


def with_fen(values: dict[str, Any]) -> dict[str, Any]:
    """Return posted values with an amount in yuan and its sign as `amount_fen`; raises InvalidField."""
    if "amount" not in values:
        return values
    try:
        amount_fen = parse_yuan(str(values["amount"]))
    except InvalidText as wrong:
        raise InvalidField.of("amount", wrong.args[0]) from None
    return values | {"amount_fen": -amount_fen if values.get("sign") == "-" else amount_fen}


def _trail(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return events and messages of an order as one timeline, the newest first."""
    events = [(event["at"], _trail_item(event)) for event in order["events"]]
    together: dict[tuple[str, datetime], list[dict[str, Any]]] = {}
    for notice in order["notices"]:
        together.setdefault((notice["event"], notice["at"]), []).append(notice)
    messages = [(at, _trail_messages(event, rows)) for (event, at), rows in together.items()]
    both = sorted([*events, *messages], key=lambda pair: pair[0])
    return [item for _at, item in reversed(both)]


def _trail_messages(event: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the messages of one event as the timeline shows them."""
    lines = [" · ".join(str(row[name].label) for name in ("recipient", "channel", "status")) for row in rows]
    return {
        "title": str(_("Message: %(event)s", event=event_text(event))),
        "at": format_instant(rows[0]["at"]),
        "text": Markup("<br>").join(lines),
        "icon": "mail",
    }


def _trail_item(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the timeline shows it."""
    kinds = {"customer": _("Customer"), "system": _("System"), "payment": _("Payment service")}
    data = event["data"] or {}
    facts = [str(data[name]) for name in ("payment_no", "refund_no") if name in data]
    if "amount_fen" in data:
        facts.append(format_fen(data["amount_fen"]))
    who = event["actor_name"] if event["actor_kind"] == "staff" else kinds.get(event["actor_kind"], "")
    return {
        "title": str(event_label(event["event"])),
        "at": format_instant(event["at"]),
        "text": " · ".join([str(reason_label(event["reason"])), *facts] if event["reason"] else facts),
        "who": who,
        "colour": "red" if event["event"] in ALARMING else "secondary",
    }


def refusal_text(error: DomainError) -> str:
    """Return a refusal as one sentence, with what is wrong with the fields."""
    details = [str(text) for texts in (error.errors or {}).values() for text in texts]
    return " ".join(details) or str(error.message)


class WalkInView(BaseView):
    """Guests at the counter: a free room from now, paid at once by QR code."""

    route_base = "/walk-ins"
    default_view = "form"
    class_permission_name = "WalkInView"
    method_permission_name = {"form": "read", "create": "write"}

    @expose("/", methods=["GET"])
    @has_access
    def form(self) -> Any:
        """The rooms that are free now."""
        return self._page(200)

    @expose("/", methods=["POST"])
    @has_access
    def create(self) -> Any:
        """Open an order for a room from this minute."""
        try:
            values = posted_values()
            room_id = whole_number(values, "room_id", _l("Please choose a room."))
            minutes = whole_number(values, "minutes", _l("Please give the minutes."))
            note = str(values.get("note") or "")[:200]
            no = walk_ins.create_walk_in(
                room_id, minutes=minutes, note=note, actor=current_actor(), now=utc_now()
            )
        except DomainError as error:
            if wants_json():
                return problem(error)
            flash(refusal_text(error), "danger")
            return self._page(error.status)
        if wants_json():
            return json_answer({"no": no}, 201)
        return redirect(url_for("OrderView.page", no=no))

    def _page(self, status: int) -> Any:
        rooms = board.list_rooms_now(actor=current_actor(), now=utc_now())
        page = self.render_template(
            "pages/walk_in.html",
            stores=by_store([room for room in rooms if room["state"] == "free"]),
            values=request.form,
            length_text=length_text,
        )
        return page, status


class PaymentView(LedgerView):
    """What customers paid, by whichever service."""

    route_base = "/payments"
    datamodel = KitInterface(Payment)
    list_title = _l("Payments")
    item_title = _l("Payment")
    label_columns = {
        "payment_no": _l("Number"),
        "order": _l("Order"),
        "channel": _l("Channel"),
        "transaction_no": _l("Transaction"),
        "refund_reserved_fen": _l("Refunds"),
        "paid_at": _l("Paid at"),
        "closed_at": _l("Closed at"),
    }
    list_columns = ["payment_no", "order", "channel", "status", "amount_fen", "paid_at", "created_at"]
    show_columns = [*list_columns, "transaction_no", "refund_reserved_fen", "closed_at"]
    search_columns = ["status", "channel", "created_at"]
    quick_search_columns = ["payment_no", "transaction_no"]
    order_columns = ["amount_fen", "paid_at", "created_at"]
    base_order = ("created_at", "desc")


class RefundView(LedgerView):
    """What went back, and what is stuck."""

    route_base = "/refunds"
    datamodel = KitInterface(Refund)
    list_title = _l("Refunds")
    item_title = _l("Refund")
    label_columns = {
        "refund_no": _l("Number"),
        "order": _l("Order"),
        "provider_refund_no": _l("Transaction"),
        "finished_at": _l("Finished"),
        "try_count": _l("Tries"),
        "last_error": _l("Last error"),
    }
    formatters_columns = {"reason": reason_label}
    list_columns = ["refund_no", "order", "status", "amount_fen", "reason", "created_at", "finished_at"]
    show_columns = [*list_columns, "provider_refund_no", "try_count", "last_error"]
    search_columns = ["status", "created_at"]
    quick_search_columns = ["refund_no"]
    order_columns = ["amount_fen", "created_at", "finished_at"]
    base_order = ("created_at", "desc")
