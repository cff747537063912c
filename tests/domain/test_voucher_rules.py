"""Where, when and for how long a voucher may be used."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from app.domain.errors import DomainError, InvalidField
from app.domain.slots import Span
from app.domain.voucher_rules import (
    UsableBand,
    VoucherRoom,
    VoucherTerms,
    check_use,
    terms_of,
    usable_rooms,
    usable_span,
)
from tests.domain.moments import TZ, at, span

ROOM = VoucherRoom(id=7, store_id=1, room_type_id=3)
NOW = at("09:00")
TERMS = VoucherTerms(minutes=240, valid_from_at=at("2026-03-01 00:00"), valid_until_at=at("2026-04-01 00:00"))


def refusal_of(
    terms: VoucherTerms, wanted: Span, room: VoucherRoom = ROOM, now: str = "09:00"
) -> tuple[str, str] | None:
    """Return (code, rule) of the refusal, None when the voucher may be used."""
    try:
        check_use(terms, room, wanted, now=at(now), tz=TZ)
    except DomainError as refusal:
        assert refusal.data is not None and "limit" in refusal.data
        return refusal.code, refusal.data["rule"]
    return None


@pytest.mark.parametrize(
    ("label", "wanted", "now", "expected"),
    [
        ("fits", span("12:00", "16:00"), "09:00", None),
        ("a minute short", span("12:00", "15:59"), "09:00", ("voucher_length", "minutes")),
        ("a minute long", span("12:00", "16:01"), "09:00", ("voucher_length", "minutes")),
        ("seconds long", span("12:00", "16:00:30"), "09:00", ("voucher_length", "minutes")),
        ("first instant", span("2026-03-01 00:00", "2026-03-01 04:00"), "2026-02-28 09:00", None),
        (
            "a minute before it is valid",
            span("2026-02-28 23:59", "2026-03-01 03:59"),
            "2026-02-28 09:00",
            ("voucher_not_now", "valid_from_at"),
        ),
        ("starts in its last minute", span("2026-03-31 23:59", "2026-04-01 03:59"), "09:00", None),
        (
            "starts when it is over",
            span("2026-04-01 00:00", "2026-04-01 04:00"),
            "09:00",
            ("voucher_expired", "valid_until_at"),
        ),
        ("over by now", span("12:00", "16:00"), "2026-04-01 00:00", ("voucher_expired", "valid_until_at")),
        (
            "expired before all else",
            span("12:00", "12:30"),
            "2026-04-01 00:00",
            ("voucher_expired", "valid_until_at"),
        ),
    ],
)
def test_length_and_validity(label: str, wanted: Span, now: str, expected: tuple[str, str] | None) -> None:
    assert refusal_of(TERMS, wanted, now=now) == expected


@pytest.mark.parametrize(
    ("label", "changes", "rule"),
    [
        ("nothing restricted", {}, None),
        ("its store", {"store_ids": (1, 2)}, None),
        ("another store", {"store_ids": (2,)}, "store_ids"),
        ("its type", {"room_type_ids": (3,)}, None),
        ("another type", {"room_type_ids": (4,)}, "room_type_ids"),
        ("itself", {"room_ids": (7,)}, None),
        ("another room", {"room_ids": (8,)}, "room_ids"),
        ("listed beside another type", {"room_ids": (7,), "room_type_ids": (4,)}, None),
        ("type listed beside another room", {"room_ids": (8,), "room_type_ids": (3,)}, None),
        ("neither", {"room_ids": (8,), "room_type_ids": (4,)}, "room_ids"),
    ],
)
def test_places(label: str, changes: dict[str, tuple[int, ...]], rule: str | None) -> None:
    terms = replace(TERMS, **changes)
    expected = None if rule is None else ("voucher_not_here", rule)
    assert refusal_of(terms, span("12:00", "16:00")) == expected
    assert usable_rooms(terms, [ROOM]) == ([ROOM] if rule is None else [])


def test_the_place_is_refused_before_the_length() -> None:
    assert refusal_of(replace(TERMS, store_ids=(2,)), span("12:00", "13:00")) == (
        "voucher_not_here",
        "store_ids",
    )


DAYTIME = (UsableBand.of("10:00", "18:00"),)
NIGHT = (UsableBand.of("22:00", "06:00"),)
TILED = (UsableBand.of("00:00", "06:00"), UsableBand.of("18:00", "24:00"))


@pytest.mark.parametrize(
    ("label", "changes", "wanted", "rule"),
    [
        ("on its weekday", {"weekdays": (2,)}, span("12:00", "16:00"), None),
        ("on another weekday", {"weekdays": (0, 1, 3)}, span("12:00", "16:00"), "weekdays"),
        (
            "starts on its weekday, ends on the next",
            {"weekdays": (2,)},
            span("22:00", "2026-03-12 02:00"),
            None,
        ),
        ("excluded day", {"excluded_on": (date(2026, 3, 11),)}, span("12:00", "16:00"), "excluded_on"),
        (
            "runs into an excluded day",
            {"excluded_on": (date(2026, 3, 12),)},
            span("22:00", "2026-03-12 02:00"),
            None,
        ),
        ("fills the band's start", {"bands": DAYTIME}, span("10:00", "14:00"), None),
        ("fills the band's end", {"bands": DAYTIME}, span("14:00", "18:00"), None),
        ("a minute early", {"bands": DAYTIME}, span("09:59", "13:59"), "bands"),
        ("a minute late", {"bands": DAYTIME}, span("14:01", "18:01"), "bands"),
        ("night band, before midnight", {"bands": NIGHT}, span("22:00", "2026-03-12 02:00"), None),
        ("night band, after midnight", {"bands": NIGHT}, span("02:00", "06:00"), None),
        ("night band by day", {"bands": NIGHT}, span("12:00", "16:00"), "bands"),
        ("night of an allowed weekday", {"bands": NIGHT, "weekdays": (1,)}, span("02:00", "06:00"), None),
        ("night of another weekday", {"bands": NIGHT, "weekdays": (2,)}, span("02:00", "06:00"), "bands"),
        ("touching bands join", {"bands": TILED}, span("22:00", "2026-03-12 02:00"), None),
        (
            "touching bands join on allowed days only",
            {"bands": TILED, "weekdays": (2,)},
            span("22:00", "2026-03-12 02:00"),
            "bands",
        ),
        (
            "excluded day before its bands",
            {"bands": DAYTIME, "excluded_on": (date(2026, 3, 11),)},
            span("12:00", "16:00"),
            "excluded_on",
        ),
        (
            "whole day band",
            {"bands": (UsableBand.of("00:00", "00:00"),)},
            span("20:00", "2026-03-12 00:00"),
            None,
        ),
    ],
)
def test_days_and_bands(label: str, changes: dict[str, object], wanted: Span, rule: str | None) -> None:
    terms = replace(TERMS, **changes)  # type: ignore[arg-type]
    assert refusal_of(terms, wanted) == (None if rule is None else ("voucher_not_now", rule))


@pytest.mark.parametrize(
    "clock", ["", "10", "24:01", "9:60", "-1:00", "10:00:00", "１０:00", "99999999999:00"]
)
def test_bad_clock_times_are_refused(clock: str) -> None:
    with pytest.raises(InvalidField):
        UsableBand.of(clock, "18:00")


def test_bands_are_written_as_they_were_read() -> None:
    assert UsableBand.of("9:30", "24:00").as_data() == {"start": "09:30", "end": "24:00"}


def test_terms_from_a_voucher_row() -> None:
    data = {
        "minutes": 240,
        "people": 4,
        "store_ids": [1],
        "room_ids": [],
        "room_type_ids": [3],
        "weekdays": [0, 1],
        "bands": [{"start": "10:00", "end": "18:00"}],
        "excluded_on": ["2026-05-01"],
    }
    terms = terms_of(data, valid_from_at=TERMS.valid_from_at, valid_until_at=TERMS.valid_until_at)
    assert terms == replace(
        TERMS,
        people=4,
        store_ids=(1,),
        room_type_ids=(3,),
        weekdays=(0, 1),
        bands=DAYTIME,
        excluded_on=(date(2026, 5, 1),),
    )
    bare = terms_of({"minutes": 240}, valid_from_at=TERMS.valid_from_at, valid_until_at=TERMS.valid_until_at)
    assert bare == TERMS


def test_usable_span() -> None:
    assert usable_span(TERMS, NOW) == span("09:00", "13:00")
