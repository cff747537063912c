"""Every kind of column survives show, save and show again; unreadable text stays in the form (traps 5-9)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.views.kit.values import InvalidText, format_clock, parse_clock, parse_yuan
from tests.views.kit.cafe import Desk, Kind
from tests.views.kit.forms import count, desk, errors, linked, offered, rows, selected, value_of


def add(client: FlaskClient, **changes: Any) -> Any:
    return client.post("/deskview/add", data=desk(**changes))


def saved(app: Flask) -> dict[str, Any]:
    found = rows(app, Desk, name="Corner")
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("column", "text", "stored", "shown"),
    [
        ("fee_fen", "12.50", 1250, "12.50"),
        ("fee_fen", "0", 0, "0.00"),
        ("fee_fen", "¥1,234.5", 123450, "1234.50"),
        ("fee_fen", "１２．５０元", 1250, "12.50"),
        ("fee_fen", "0.29", 29, "0.29"),
        ("opens_minute", "09:30", 570, "09:30"),
        ("opens_minute", "9:05", 545, "09:05"),
        ("opens_minute", "24:00", 1440, "24:00"),
        ("opens_minute", "26:00", 1560, "next day 02:00"),
        ("opens_minute", "次日 02:00", 1560, "next day 02:00"),
        ("opens_minute", "次日02：00", 1560, "next day 02:00"),
        ("opens_minute", "48:00", 2880, "next day 24:00"),
        ("stay_minutes", "0", 0, "0"),
        ("capacity", " 7 ", 7, "7"),
        ("weight", "12.34", Decimal("12.34"), "12.34"),
        ("weight", "", None, ""),
        ("ratio", "0.5", 0.5, "0.5"),
        ("since_on", "2026-02-28", date(2026, 2, 28), "2026-02-28"),
        ("since_on", "", None, ""),
        ("open_at", "2026-11-23 07:00", datetime(2026, 11, 22, 23, 0, tzinfo=UTC), "2026-11-23 07:00"),
        ("open_at", "2026-11-23T07:00", datetime(2026, 11, 22, 23, 0, tzinfo=UTC), "2026-11-23 07:00"),
        ("open_at", "", None, ""),
        ("name", "  Corner  ", "Corner", "Corner"),
    ],
)
def test_value_is_stored_and_comes_back(
    app: Flask, owner: FlaskClient, column: str, text: str, stored: Any, shown: str
) -> None:
    answer = add(owner, **{column: text})
    assert answer.status_code == 302, errors(answer.text)

    row = saved(app)
    assert row[column] == stored
    page = owner.get(f"/deskview/edit/{row['id']}").text
    assert value_of(page, column) == shown
    # Saving what is shown changes nothing.
    again = owner.post(f"/deskview/edit/{row['id']}", data=desk(**{column: shown}))
    assert again.status_code == 302, errors(again.text)
    assert saved(app)[column] == stored


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("fee_fen", "12.505", "Not a valid amount; at most two decimals."),
        ("fee_fen", "free", "Not a valid amount; at most two decimals."),
        ("fee_fen", "-1", "The amount is too small or too large."),
        ("fee_fen", "99999999999", "The amount is too small or too large."),
        ("fee_fen", "", "Please fill this in."),
        ("opens_minute", "25:60", "Not a valid time (HH:MM, up to 48:00)."),
        ("opens_minute", "48:01", "Not a valid time (HH:MM, up to 48:00)."),
        ("opens_minute", "次日 24:01", "Not a valid time (HH:MM, up to 48:00)."),
        ("opens_minute", "570", "Not a valid time (HH:MM, up to 48:00)."),
        ("stay_minutes", "-5", "The number is too small or too large."),
        ("stay_minutes", "1.5", "Not a whole number."),
        ("capacity", "9" * 12, "The number is too small or too large."),
        ("weight", "NaN", "The number is too small or too large."),
        ("weight", "12345.67", "The number is too small or too large."),
        ("weight", "1e400", "The number is too small or too large."),
        ("ratio", "Infinity", "The number is too small or too large."),
        ("since_on", "2026-02-30", "Not a valid date (YYYY-MM-DD)."),
        ("open_at", "2026-11-15 25:00", "Not a valid date and time (YYYY-MM-DD HH:MM)."),
        ("open_at", "0001-01-01 00:00", "Not a valid date and time (YYYY-MM-DD HH:MM)."),
        ("open_at", "9999-12-31 23:59", "Not a valid date and time (YYYY-MM-DD HH:MM)."),
        ("kind", "hexagon", "Not a valid choice."),
        ("kind", "", "Please fill this in."),
        ("mood", "SQUARE", "Not a valid choice."),
        ("extra", "{'a': True}", "This is not valid JSON."),
        ("extra", "NaN", "This is not valid JSON."),
        ("extra", "[1]", "An object is needed."),
        ("extra", '{"a": "\\u0000"}', "This text contains characters that are not allowed."),
        ("is_quiet", "perhaps", "Not a valid choice."),
        ("name", "", "Please fill this in."),
        ("name", "   ", "Please fill this in."),
        ("name", "x" * 33, "Field cannot be longer than 32 characters."),
        ("name", "a\x00b", "This text contains characters that are not allowed."),
        ("remark", "a\x00b", "This text contains characters that are not allowed."),
    ],
)
def test_unreadable_value_is_an_error_of_its_field_and_stays(
    app: Flask, owner: FlaskClient, column: str, text: str, message: str
) -> None:
    answer = add(owner, **{column: text, "note": "kept"})

    assert answer.status_code == 422
    assert errors(answer.text)[column] == message
    assert [name for name in errors(answer.text) if name] == [column]
    assert count(app, Desk) == 4
    if column not in ("kind", "mood", "is_quiet", "extra", "remark") and "\x00" not in text:
        assert value_of(answer.text, column) == text.strip() or value_of(answer.text, column) == text
    if column != "fee_fen":
        assert value_of(answer.text, "fee_fen") == "12.50"


def test_not_null_boolean_can_be_switched_off(app: Flask, owner: FlaskClient) -> None:
    assert add(owner, is_active=None).status_code == 302
    assert saved(app)["is_active"] is False


def test_not_null_boolean_defaults_to_on_in_a_new_form(owner: FlaskClient) -> None:
    page = owner.get("/deskview/add").text
    control = page[page.index('name="is_active"') - 200 : page.index('name="is_active"') + 40]

    assert "checked" in control
    assert "form-check-input" in control


@pytest.mark.parametrize(("text", "stored"), [("", None), ("y", True), ("n", False)])
def test_nullable_boolean_has_three_states(app: Flask, owner: FlaskClient, text: str, stored: Any) -> None:
    assert add(owner, is_quiet=text).status_code == 302
    row = saved(app)
    assert row["is_quiet"] is stored
    assert selected(owner.get(f"/deskview/edit/{row['id']}").text, "is_quiet") == [text]


def test_enum_is_offered_by_its_labels_and_blank_only_where_nullable(app: Flask, owner: FlaskClient) -> None:
    page = owner.get("/deskview/add").text
    assert offered(page, "kind") == ["Please choose", "Square", "Round"]
    assert offered(page, "mood") == ["–", "Square", "Round"]

    assert add(owner, mood="").status_code == 302
    row = saved(app)
    assert (row["kind"], row["mood"]) == (Kind.SQUARE, None)
    edit = owner.get(f"/deskview/edit/{row['id']}").text
    assert offered(edit, "kind") == ["Square", "Round"]
    assert (selected(edit, "kind"), selected(edit, "mood")) == (["square"], [""])


@pytest.mark.parametrize(
    "text", ['{"a": true, "b": null}', '{"深": {"x": [1, 2.5, "三"]}}', "{}", "", '{"q": "\\"<script>"}']
)
def test_json_comes_back_as_it_was(app: Flask, owner: FlaskClient, text: str) -> None:
    import html
    import json
    import re

    expected = json.loads(text) if text else None
    assert add(owner, extra=text).status_code == 302
    row = saved(app)
    assert row["extra"] == expected

    page = owner.get(f"/deskview/edit/{row['id']}").text
    area = re.search(r'<textarea[^>]*name="extra"[^>]*>(.*?)</textarea>', page, re.S)
    shown = html.unescape(area[1]) if area else ""
    assert owner.post(f"/deskview/edit/{row['id']}", data=desk(extra=shown)).status_code == 302
    assert saved(app)["extra"] == expected


def test_instant_is_stored_in_utc_whatever_the_form_says(app: Flask, owner: FlaskClient) -> None:
    """The stock widget printed ``+00:00`` and then refused what it had printed."""
    assert add(owner, open_at="2026-10-02 10:00").status_code == 302
    row = saved(app)
    assert row["open_at"] == datetime(2026, 10, 2, 2, 0, tzinfo=UTC)
    page = owner.get(f"/deskview/edit/{row['id']}").text
    assert "js-datetime" in page
    assert "+00:00" not in page


def test_secret_is_written_and_never_shown(app: Flask, owner: FlaskClient) -> None:
    assert add(owner, pin="open sesame").status_code == 302
    row = saved(app)
    assert row["pin"] == "open sesame"
    for address in (f"/deskview/edit/{row['id']}", f"/deskview/show/{row['id']}", "/deskview/list/"):
        assert "sesame" not in owner.get(address).text

    assert owner.post(f"/deskview/edit/{row['id']}", data=desk(pin="")).status_code == 302
    assert saved(app)["pin"] == "open sesame"


def test_many_to_many_is_set_and_cleared(app: Flask, owner: FlaskClient) -> None:
    assert add(owner, tags=["1", "2"]).status_code == 302
    key = saved(app)["id"]
    assert linked(app, Desk, key, "tags") == [1, 2]
    assert owner.post(f"/deskview/edit/{key}", data=desk()).status_code == 302
    assert linked(app, Desk, key, "tags") == []


def test_few_choices_are_a_plain_select_and_many_a_remote_one(app: Flask, owner: FlaskClient) -> None:
    page = owner.get("/visitview/add").text

    assert "js-remote-select" not in _control(page, "desk")
    assert 'data-url="/visitview/lookup/guest"' in _control(page, "guest")
    assert "js-remote-select" in _control(page, "guest")
    assert offered(page, "guest") == ["–"]

    data = {"store": "1", "desk": "11", "guest": "60", "amount_fen": "1", "note": "x" * 99}
    again = owner.post("/visitview/add", data=data)
    assert again.status_code == 422
    assert selected(again.text, "guest") == ["60"]


def _control(page: str, name: str) -> str:
    start = page.rindex("<select", 0, page.index(f'name="{name}"'))
    return page[start : page.index(">", start)]


def test_next_day_mark_of_the_language_is_read_back(app: Flask) -> None:
    with app.test_request_context("/"), app.app_context(), use_scope(ALL_STORES):
        for minute in (0, 1439, 1440, 1441, 2879, 2880):
            assert parse_clock(format_clock(minute)) == minute
        db.session.remove()


@pytest.mark.parametrize("text", ["1.", ".5", "--1", "1e3", "0x1", "١٢", "1 2 3 a"])
def test_odd_amounts_are_refused(app: Flask, text: str) -> None:
    if text == "١٢":
        # Other scripts' digits are digits to Python, and mean the same.
        assert parse_yuan(text) == 1200
        return
    with app.test_request_context("/"), pytest.raises(InvalidText):
        parse_yuan(text)
