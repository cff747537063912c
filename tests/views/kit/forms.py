"""What the tests of the kit post, read and count."""

from __future__ import annotations

import html
import re
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.models.operations import AuditEntry

DESK: dict[str, Any] = {
    "store": "1",
    "name": "Corner",
    "kind": "square",
    "mood": "",
    "capacity": "4",
    "fee_fen": "12.50",
    "opens_minute": "09:30",
    "stay_minutes": "90",
    "is_active": "y",
    "is_quiet": "",
    "open_at": "",
    "since_on": "",
    "extra": "",
    "remark": "",
    "weight": "",
    "ratio": "",
    "pin": "",
}


def desk(**changes: Any) -> dict[str, Any]:
    """Return a complete form of a desk with some fields changed; None leaves a field out."""
    return {name: value for name, value in (DESK | changes).items() if value is not None}


def rows(app: Flask, model: Any, **values: Any) -> list[dict[str, Any]]:
    """Return the stored rows as plain columns, past every scope."""
    with app.app_context(), use_scope(ALL_STORES):
        found = db.session.scalars(select(model).filter_by(**values).order_by(model.id)).unique().all()
        plain = [{part.key: getattr(row, part.key) for part in row.__mapper__.column_attrs} for row in found]
        db.session.remove()
        return plain


def count(app: Flask, model: Any) -> int:
    """Return how many rows there are, past every scope."""
    with app.app_context(), use_scope(ALL_STORES):
        number = db.session.scalar(select(func.count()).select_from(model))
        db.session.remove()
        return int(number or 0)


def audit(app: Flask) -> list[dict[str, Any]]:
    """Return the audit entries."""
    return rows(app, AuditEntry)


def linked(app: Flask, model: Any, key: int, relation: str) -> list[int]:
    """Return the keys of the rows in a relation."""
    with app.app_context(), use_scope(ALL_STORES):
        found = sorted(row.id for row in getattr(db.session.get(model, key), relation))
        db.session.remove()
        return found


def errors(page: str) -> dict[str, str]:
    """Return the error texts of a form page by field; the empty name holds those of the whole form."""
    found = {}
    for part in re.split(r'(?=<div class="form-field)', page)[1:]:
        name, text = (
            re.search(r' name="(\w+)"', part),
            re.search(r'id="\w+-error">(.*?)</div></div>', part, re.S),
        )
        if name and text:
            found[name[1]] = html.unescape(re.sub(r"<[^>]+>", " ", text[1])).strip()
    summary = re.search(r"Please correct the marked fields\.(.*?)</div>\s*</div>", page, re.S)
    whole = re.findall(r"<div>([^<]+)", summary[1]) if summary else []
    return found | ({"": " ".join(whole)} if whole else {})


def value_of(page: str, name: str) -> str:
    """Return the value of an input on a page."""
    control = re.search(rf"<input[^>]*name=\"{name}\"[^>]*>", page)
    value = re.search(r'value="([^"]*)"', control[0]) if control else None
    return value[1] if value else ""


def selected(page: str, name: str) -> list[str]:
    """Return the chosen values of a select on a page."""
    control = re.search(rf'<select[^>]*name="{name}".*?</select>', page, re.S)
    options = re.findall(r"<option ([^>]*)>", control[0]) if control else []
    return [re.search(r'value="([^"]*)"', option)[1] for option in options if "selected" in option]  # type: ignore[index]


def offered(page: str, name: str) -> list[str]:
    """Return the labels of a select's options on a page."""
    control = re.search(rf'<select[^>]*name="{name}".*?</select>', page, re.S)
    return re.findall(r"<option [^>]*>([^<]*)</option>", control[0]) if control else []


def csv_rows(client: FlaskClient, address: str) -> list[str]:
    """Return the lines of an export after its heading."""
    return client.get(address).get_data(as_text=True).splitlines()[1:]


def shows_no_database(page: str) -> bool:
    """Tell whether a page is free of database text."""
    traces = (
        "IntegrityError",
        "sqlite3",
        "psycopg",
        "INSERT INTO",
        "UPDATE ",
        "constraint failed",
        "violates",
        "DETAIL",
    )
    return not any(trace in page for trace in traces)
