"""A tried price in sentences: why a rule wins, what the others lack, what a day counts as."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.money import format_fen
from app.domain.pricing import LineKind
from app.models import CalendarKind, DayKind, PriceScope
from app.views.shapes import length_text

LOST_BY: dict[str, Any] = {
    "scope": _l("counts for more rooms"),
    "priority": _l("lower priority"),
    "length": _l("shorter package"),
    "day_kind": _l("counts on more days"),
    "age": _l("ranks the same, but is newer"),
    "package": _l("hourly rate, replaced by the package"),
    "below_hourly": _l("package with a lower priority than the hourly rate"),
}
WEEKEND = (5, 6)
SOURCES: dict[str, Any] = {
    "store": _l("Own calendar of the store"),
    "chain": _l("Own calendar of the chain"),
    "public": _l("Public calendar"),
    "unknown": _l("Holidays not known, by the day of the week"),
}


def why_text(piece: dict[str, Any]) -> str:
    """Return one sentence on why the first rule of a piece wins."""
    if not piece["contenders"]:
        return str(_("No rule counts here, so this time cannot be booked."))
    winner, *others = piece["contenders"]
    if not others:
        return str(_("“%(rule)s” wins: it is the only rule that counts here.", rule=winner["name"]))
    return _against(winner, others[0])


def _against(winner: dict[str, Any], other: dict[str, Any]) -> str:
    names = {"rule": winner["name"], "other": other["name"]}
    if other["lost_by"] == "scope":
        scopes = {"scope": _scope(winner), "other_scope": _scope(other)}
        return str(
            _(
                "“%(rule)s” wins: it counts for fewer rooms (%(scope)s) than “%(other)s” (%(other_scope)s).",
                **names,
                **scopes,
            )
        )
    if other["lost_by"] == "priority":
        return str(
            _(
                "“%(rule)s” wins: its priority %(high)s is higher than the %(low)s of “%(other)s”.",
                **names,
                high=winner["priority"],
                low=other["priority"],
            )
        )
    if other["lost_by"] == "day_kind":
        return str(
            _(
                "“%(rule)s” wins: it counts on fewer days (%(days)s) than “%(other)s” (%(other_days)s).",
                **names,
                days=_days(winner),
                other_days=_days(other),
            )
        )
    return _rarer(other["lost_by"], names)


def _rarer(lost_by: str, names: dict[str, str]) -> str:
    if lost_by == "length":
        return str(_("“%(rule)s” wins: its package is longer than that of “%(other)s”.", **names))
    if lost_by == "package":
        return str(
            _("“%(rule)s” wins: the package fits and goes before the hourly rate “%(other)s”.", **names)
        )
    if lost_by == "below_hourly":
        return str(_("“%(rule)s” wins: the package “%(other)s” fits, but has a lower priority.", **names))
    return str(
        _(
            "“%(rule)s” wins only because it is older: “%(other)s” ranks the same."
            " Give one of them a higher priority.",
            **names,
        )
    )


def _scope(rule: dict[str, Any]) -> Any:
    return PriceScope.of(rule["scope"]).label


def _days(rule: dict[str, Any]) -> Any:
    return DayKind.of(rule["day_kind"]).label


def lost_text(contender: dict[str, Any]) -> str:
    """Return in a few words what a rule lacks against the winner; empty for the winner itself."""
    return str(LOST_BY.get(contender["lost_by"], ""))


def price_text(rule: dict[str, Any]) -> str:
    """Return the price of a rule: by the hour, or flat."""
    price = short_money(rule["amount_fen"])
    if rule["kind"] == "hourly":
        return str(_("%(price)s an hour", price=price))
    if rule["package_minutes"]:
        return f"{price} / {length_text(rule['package_minutes'])}"
    return price


def short_money(amount_fen: int) -> str:
    """Write fen as yuan, without decimals where there are none."""
    return format_fen(amount_fen).removesuffix(".00")


def warning_text(warning: dict[str, Any]) -> str:
    """Return one sentence for a warning of a trial."""
    if warning["code"] == "gap":
        return str(_("Gap: no price for %(time)s.", time=span_text(warning["start_at"], warning["end_at"])))
    if warning["code"] == "tie":
        return str(
            _(
                "Tie at %(time)s: %(rules)s rank the same, only their age decides.",
                time=span_text(warning["start_at"], warning["end_at"]),
                rules=" = ".join(f"“{name}”" for name in warning["names"]),
            )
        )
    return unknown_year_text(warning["year"])


def unknown_year_text(year: int) -> str:
    """Return the warning for a year without published holidays."""
    return str(
        _(
            "The public holidays of %(year)s are not known yet: prices go by the day of the week."
            " Enter the holidays in the calendar.",
            year=year,
        )
    )


def span_text(start_at: datetime, end_at: datetime) -> str:
    """Write local times as ``09-30 23:00–24:00``, with the second date where it is another one."""
    start = start_at.strftime("%m-%d %H:%M")
    if end_at.date() == start_at.date():
        return f"{start}–{end_at:%H:%M}"
    is_midnight = (end_at.hour, end_at.minute) == (0, 0)
    if is_midnight and end_at.date() - start_at.date() == timedelta(days=1):
        return f"{start}–24:00"
    return f"{start} – {end_at:%m-%d %H:%M}"


def day_label(kind: str) -> Any:
    """Return what a kind of day is called."""
    return CalendarKind.of(kind).label


def day_colour(kind: str) -> str:
    """Return the colour of a kind of day."""
    return CalendarKind.of(kind).colour


def source_text(day: dict[str, Any]) -> str:
    """Return who says what a day counts as, and whether it is worked in exchange for a holiday."""
    is_exchanged = day["kind"] == "weekday" and day["on"].weekday() in WEEKEND
    if day["source"] == "public" and is_exchanged:
        return f"{SOURCES['public']} · {_('worked in exchange for a holiday')}"
    return str(SOURCES[day["source"]])


def line_label(kind: str) -> Any:
    """Return what a kind of line is called."""
    return LineKind.of(kind).label
