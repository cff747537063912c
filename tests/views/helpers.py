"""Clients that are logged in, and what pages are read with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from html import unescape
from typing import Any

from flask import Flask, has_app_context
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from app.extensions import db
from app.models import Staff

JSON = {"Accept": "application/json"}
_TAGS = re.compile(r"<(script|style|svg)\b.*?</\1>|<[^>]+>", re.DOTALL)


class Visitor(FlaskClient):
    """A client whose every request starts from nothing, as in production.

    Otherwise requests would run inside the application context of the test and share its logged-in user, its
    database session and its store scope.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send one request and read the whole answer, exports included, while its context is there."""
        kwargs.setdefault("buffered", True)
        if has_app_context():
            # The database must not wait for what the test still reads.
            db.session.rollback()
        return Context().run(super().open, *args, **kwargs)


def stranger_of(app: Flask) -> Visitor:
    """Return a client of somebody who is not logged in."""
    return Visitor(app, app.response_class)


def client_of(app: Flask, account: Staff) -> Visitor:
    """Return a client whose session belongs to *account*."""
    client = stranger_of(app)
    Context().run(_enter, client, str(account.id))
    return client


def _enter(client: Visitor, user_id: str) -> None:
    with client.session_transaction() as session:
        session["_user_id"] = user_id
        session["_fresh"] = True


def text_of(answer: TestResponse) -> str:
    """Return what a page says, without its tags."""
    page = answer.get_data(as_text=True).partition("<body")[2]
    return " ".join(unescape(_TAGS.sub(" ", page)).split())


def main_of(answer: TestResponse) -> str:
    """Return what the content of a page says, without menu and frame."""
    page = "<main" + answer.get_data(as_text=True).partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(_TAGS.sub(" ", page)).split())


def menu_links(answer: TestResponse) -> list[str]:
    """Return the addresses of the side menu."""
    menu = answer.get_data(as_text=True).partition('class="app-nav"')[2].partition("</nav>")[0]
    return re.findall(r'<a [^>]*href="([^"]+)"', menu)


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Collect the SQL that the block sends."""
    sent: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(db.engine, "before_cursor_execute", remember)
    try:
        yield sent
    finally:
        event.remove(db.engine, "before_cursor_execute", remember)
