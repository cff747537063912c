"""What people type for weekdays, times, dates, fees and fields, and how it is read back to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, session

from app.views import shapes
from app.views.kit.values import InvalidText


@pytest.fixture
def english(app: Flask) -> Iterator[None]:
    """A request that speaks English."""
    with app.test_request_context():
        session["locale"] = "en"
        yield


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("10:00-18:00", [("10:00", "18:00")]),
        ("9:30 - 12:00,19:00-23:00", [("09:30", "12:00"), ("19:00", "23:00")]),
        ("１０：００～１８：００，１９：００—２４：００", [("10:00", "18:00"), ("19:00", "24:00")]),
        ("10:00至18:00、22:00到02:00", [("10:00", "18:00"), ("22:00", "02:00")]),
    ],
)
def test_times_of_the_day_are_read_and_written(text: str, bands: list[tuple[str, str]]) -> None:
    found = shapes.parse_bands(text)
    assert found == [{"start": start, "end": end} for start, end in bands]
    assert shapes.parse_bands(shapes.write_bands(found)) == found


@pytest.mark.parametrize(
    "text", ["10-18", "10:00", "10:00-18:00 and more", "25:00-26:00", "10:00-18:60", "{}", "10:00-24:01"]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(InvalidText):
        shapes.parse_bands(text)


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("2026-10-01", ["2026-10-01"]),
        ("2026-10-02, 2026/10/01 2026-10-02", ["2026-10-01", "2026-10-02"]),
        ("２０２６－１０－０１、2026-10-03", ["2026-10-01", "2026-10-03"]),
    ],
)
def test_dates_are_read_in_order_and_once(text: str, dates: list[str]) -> None:
    assert shapes.parse_dates(text) == dates


@pytest.mark.parametrize("text", ["2026-02-30", "tomorrow", "1999", "[]", "0001-01-01"])
def test_other_dates_are_refused(text: str) -> None:
    with pytest.raises(InvalidText):
        shapes.parse_dates(text)


@pytest.mark.parametrize(
    ("cells", "steps"),
    [
        ([], []),
        (["", "", "", "", ""], []),
        (["120", "0", "0", "30 %", "100"], [(120, 0), (0, 30), (None, 100)]),
        (["0", "30", "１２０", "０", ""], [(120, 0), (0, 30)]),
        (["", "", "100"], [(None, 100)]),
    ],
)
def test_fee_steps_are_read_by_falling_notice(cells: list[str], steps: list[tuple[int | None, int]]) -> None:
    wanted = [{"minutes_before": minutes, "fee_percent": percent} for minutes, percent in steps]
    assert shapes.read_fee_steps(cells) == wanted


@pytest.mark.parametrize(
    "cells",
    [
        ["120", "", ""],
        ["", "30", ""],
        ["-1", "30", ""],
        ["120", "101", ""],
        ["120", "0", "120", "10", ""],
        ["525601", "0", ""],
        ["two", "0", ""],
        ["", "", "1.5"],
    ],
)
def test_other_fee_steps_are_refused(cells: list[str]) -> None:
    with pytest.raises(InvalidText):
        shapes.read_fee_steps(cells)


def test_fields_are_read_line_by_line() -> None:
    found = shapes.parse_mapping("thing1 = {store}\n\n time2={start} = now \n")
    assert found == {"thing1": "{store}", "time2": "{start} = now"}
    assert shapes.parse_mapping(shapes.write_mapping(found)) == found


@pytest.mark.parametrize("text", ["thing1", "= x", "a b = c", "a = 1\na = 2"])
def test_other_fields_are_refused(text: str) -> None:
    with pytest.raises(InvalidText):
        shapes.parse_mapping(text)


@pytest.mark.usefixtures("english")
def test_everything_is_said_in_words() -> None:
    steps = [{"minutes_before": 90, "fee_percent": 0}, {"minutes_before": None, "fee_percent": 100}]
    assert shapes.weekdays_text([6, 0]) == "Mon、Sun"
    assert shapes.weekdays_text([]) == shapes.weekdays_text([*range(7)]) == "Every day"
    assert shapes.bands_text([]) == "All day"
    assert shapes.fee_steps_text([]) == "Free of charge"
    assert shapes.fee_steps_text(steps) == (
        "At least 1.5 h before the start: free<br>After the start: 100% of the price"
    )
    assert (shapes.length_text(45), shapes.length_text(120)) == ("45 min", "2 h")
    assert (shapes.band_text((0, 0)), shapes.band_text((1320, 120))) == ("All day", "22:00–02:00")


@pytest.mark.usefixtures("english")
def test_what_was_typed_stays_text() -> None:
    assert shapes.mapping_text({"<b>": "<script>"}) == "<code>&lt;b&gt;</code> = &lt;script&gt;"
    assert "<img" not in shapes.picture("https://elsewhere.example/x.png")
    assert "<img" not in shapes.picture("//elsewhere.example/x.png")
    assert 'src="/media/&#34;x.png"' in shapes.picture('/media/"x.png')
    assert shapes.plain_html("<h3>A</h3><p>B &amp; <b>C</b></p>").split() == ["A", "B", "&", "C"]
