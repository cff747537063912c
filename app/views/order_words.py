"""The page of an order in words: names of actions, their questions, the timeline, what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup

from app.domain.errors import InvalidField
from app.domain.events import event_label, reason_label
from app.domain.money import format_fen
from app.domain.pricing import LineKind
from app.domain.states import PaymentChannel
from app.views.answers import in_fen
from app.views.kit.values import InvalidText, format_instant, parse_yuan, to_local
from app.views.messages import event_text

ACTION_LABELS: dict[str, Any] = {
    "confirm": _l("Confirm"),
    "refuse": _l("Refuse"),
    "take_payment": _l("Collect payment"),
    "check_in": _l("Check in"),
    "check_out": _l("Check out"),
    "open_door": _l("Open the door"),
    "move": _l("Move"),
    "add_minutes": _l("Add minutes"),
    "drop_change": _l("Give up the change"),
    "cancel": _l("Cancel order"),
    "adjust": _l("Adjust the price"),
}
ACTION_ICONS = {
    "confirm": "check",
    "take_payment": "qrcode",
    "check_in": "door-enter",
    "check_out": "logout",
    "open_door": "door",
    "move": "switch-horizontal",
    "add_minutes": "clock-play",
}
# These come with a form of their own beside the buttons.
OWN_FORMS = frozenset({"refuse", "cancel", "adjust", "drop_change"})
# These lead to a page that shows first what they would cost.
PAGES = {"move": "OrderView.move", "add_minutes": "OrderView.extend"}
# What guests scan a code with.
SCANNERS: dict[PaymentChannel, Any] = {
    PaymentChannel.WECHAT_NATIVE: _l("WeChat"),
    PaymentChannel.ALIPAY_QR: _l("Alipay"),
}
ALARMING = frozenset({"pay_failed", "refund_abnormal", "refund_doubled", "door_failed", "refuse"})

# How refunds go back.
ROUTES: dict[str, Any] = {
    "original": _l("The way it was paid"),
    "counter": _l("Over the counter"),
    "transfer": _l("By transfer"),
    "cash": _l("In cash"),
}


def code_names(channels: list[PaymentChannel]) -> dict[str, Any]:
    """Return the ways of paying by a code with what guests scan it with."""
    return {channel.value: SCANNERS[channel] for channel in channels if channel in SCANNERS}


def route_text(route: str) -> str:
    """Return how a refund goes back."""
    return str(ROUTES.get(route, route))


def question_of(name: str, order: dict[str, Any]) -> str:
    """Return what is asked before an action is carried out, with what it means now; empty asks nothing."""
    if name == "check_in":
        return str(_("Let the guests in now?"))
    if name == "check_out":
        return f"{_('End the stay now? The room becomes free.')} {leaving_text(order)}".strip()
    return ""


def leaving_text(order: dict[str, Any]) -> str:
    """Return what leaving now adds or gives back; empty where it does neither."""
    preview = order["check_out_preview"] or {}
    if preview.get("overtime_fen"):
        amount = format_fen(preview["overtime_fen"])
        return str(_("Overtime of %(amount)s is added.", amount=amount))
    if preview.get("refund_fen"):
        return str(_("%(amount)s for unused time goes back.", amount=format_fen(preview["refund_fen"])))
    return ""


def done_text(name: str, answer: dict[str, Any]) -> tuple[str, str]:
    """Return what an action has come to as words and their kind: success or warning."""
    if "access" in answer:
        return _door_text(answer["access"])
    if "change_fen" in answer:
        return _taken_text(answer), "success"
    if answer.get("due_fen"):
        amount, until = format_fen(answer["due_fen"]), _clock(answer.get("expires_at"))
        if name in PAGES and until:
            return str(
                _("Held until %(time)s: %(amount)s is to be paid.", time=until, amount=amount)
            ), "success"
        return str(_("Done. %(amount)s is to be paid.", amount=amount)), "success"
    if answer.get("refund_fen"):
        return str(_("Done. %(amount)s goes back.", amount=format_fen(answer["refund_fen"]))), "success"
    return str(_("Done.")), "success"


def _taken_text(answer: dict[str, Any]) -> str:
    amount, change = format_fen(answer["amount_fen"]), format_fen(answer["change_fen"])
    if answer["change_fen"]:
        return str(_("%(amount)s taken. Give back %(change)s.", amount=amount, change=change))
    return str(_("%(amount)s taken.", amount=amount))


def _door_text(access: dict[str, Any] | None) -> tuple[str, str]:
    if access is None:
        text = _("The guests are in, but the door did not answer. Open it by hand, or try again below.")
        return str(text), "warning"
    if access.get("code"):
        return str(_("Done. Door code: %(code)s", code=access["code"])), "success"
    return str(_("Done. The door is open.")), "success"


def _clock(text: str | None) -> str:
    return format_instant(datetime.fromisoformat(text))[-5:] if text else ""


def line_kind(kind: str) -> str:
    """Return what a kind of line is called."""
    return str(LineKind.of(kind).label)


def line_price(line: dict[str, Any]) -> str:
    """Return the price by the hour of a line, and which version of its rule set it."""
    parts = [line_kind(line["kind"])]
    if line["unit_fen"] and line["kind"] in (LineKind.HOURLY, LineKind.OVERTIME):
        parts.append(str(_("%(price)s an hour", price=format_fen(line["unit_fen"]))))
    if line.get("rule_version"):
        parts.append(
            str(_("rule %(id)s, version %(version)s", id=line["rule_id"], version=line["rule_version"]))
        )
    return " · ".join(parts)


def ahead_text(ahead: dict[str, Any]) -> str:
    """Return until when the room is free after the booked time, and what comes then."""
    if ahead["kind"] is None:
        return str(_("Afterwards the room is free for at least 12 hours."))
    if ahead["free_until_at"] <= ahead["from_at"]:
        free = str(_("Right after the booked end there is no free time."))
    else:
        until = _moment(ahead["free_until_at"], ahead["from_at"])
        free = str(_("Afterwards the room is free until %(time)s.", time=until))
    return f"{free} {_next_text(ahead)}"


def _next_text(ahead: dict[str, Any]) -> str:
    time = _moment(ahead["next_at"], ahead["from_at"])
    if ahead["kind"] == "booking":
        return str(_("The next guests come at %(time)s (%(no)s).", time=time, no=ahead["next_no"]))
    if ahead["kind"] == "block":
        return str(_("Then it is out of use."))
    return str(_("Then the store closes."))


def _moment(at: datetime, near: datetime) -> str:
    return f"{at:%H:%M}" if at.date() == near.date() else f"{at:%m-%d %H:%M}"


def place_text(place: dict[str, Any]) -> str:
    """Write room and local time of a booking or an alternative."""
    start, end = place["start_at"], place["end_at"]
    last = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%m-%d %H:%M}"
    return f"{place['room']['name']} · {start:%m-%d %H:%M}–{last}"


def with_fen(values: dict[str, Any]) -> dict[str, Any]:
    """Return posted values with amounts in yuan as fen, `amount` with its sign; raises InvalidField."""
    values = in_fen(values, "tendered")
    if "amount" not in values:
        return values
    try:
        amount_fen = parse_yuan(str(values["amount"]))
    except InvalidText as wrong:
        raise InvalidField.of("amount", wrong.args[0]) from None
    return values | {"amount_fen": -amount_fen if values.get("sign") == "-" else amount_fen}


def trail_of(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return events and messages of an order as one timeline, the newest first."""
    events = [(event["at"], _trail_item(event, order["room_names"])) for event in order["events"]]
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


def _trail_item(event: dict[str, Any], rooms: dict[str, str]) -> dict[str, Any]:
    """Return an event as the timeline shows it."""
    kinds = {"customer": _("Customer"), "system": _("System"), "payment": _("Payment service")}
    reason = [str(reason_label(event["reason"]))] if event["reason"] else []
    who = event["actor_name"] if event["actor_kind"] == "staff" else kinds.get(event["actor_kind"], "")
    return {
        "title": str(event_label(event["event"])),
        "at": format_instant(event["at"]),
        "text": " · ".join([*reason, *_facts_of(event["data"] or {}, rooms)]),
        "who": who,
        "colour": "red" if event["event"] in ALARMING else "secondary",
    }


def _facts_of(data: dict[str, Any], rooms: dict[str, str]) -> list[str]:
    """Return what an event keeps: places, numbers and money."""
    facts = []
    if "from" in data and "to" in data:
        facts.append(f"{_place(data['from'], rooms)} → {_place(data['to'], rooms)}")
    facts += [str(data[name]) for name in ("payment_no", "refund_no") if name in data]
    if "amount_fen" in data:
        facts.append(format_fen(data["amount_fen"]))
    if data.get("fee_fen"):
        facts.append(str(_("fee %(amount)s", amount=format_fen(data["fee_fen"]))))
    if data.get("refund_fen"):
        facts.append(str(_("%(amount)s back", amount=format_fen(data["refund_fen"]))))
    if data.get("difference_fen"):
        facts.append(str(_("difference %(amount)s", amount=format_fen(data["difference_fen"]))))
    return facts


def _place(place: dict[str, str], rooms: dict[str, str]) -> str:
    room = rooms.get(place["room_id"], "")
    if "start_at" not in place:
        return room
    start, end = (to_local(datetime.fromisoformat(place[name])) for name in ("start_at", "end_at"))
    return f"{room} {start:%m-%d %H:%M}–{end:%H:%M}"
