"""Reading requests: the whole body first, never too much of it, and JSON that is JSON."""

from __future__ import annotations

import io
import logging
import time
from typing import Any, NoReturn

import orjson
from flask import Flask, Request, Response, current_app, g, request
from flask.sessions import SecureCookieSessionInterface
from flask_babel import refresh
from marshmallow import RAISE, Schema, ValidationError
from webargs.core import missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.routing import BaseConverter
from werkzeug.routing import ValidationError as NoMatch
from werkzeug.wsgi import get_input_stream

from app.api.errors import http_answer
from app.api.schemas.base import MAX_ID
from app.domain.actor import ALL_STORES
from app.domain.errors import InvalidField, Malformed
from app.extensions import Application, current_scope, is_interface, set_reading_only, set_scope

log = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
# Beyond this the connection is cut after all: nobody may keep a worker busy for ever.
DROPPED_BYTES_LIMIT = 256 * 1024 * 1024
DROPPING_SECONDS = 20.0


class IdConverter(BaseConverter):
    """The id of a row in an address; anything else is simply not there."""

    regex = r"[1-9][0-9]{0,9}"

    def to_python(self, value: str) -> int:
        """Return the number; one that no table can hold is not there either."""
        number = int(value)
        if number > MAX_ID:
            raise NoMatch()
        return number


class NumberConverter(BaseConverter):
    """A number that people and services call something by: an order, a payment, a team, a voucher."""

    regex = r"[0-9A-Za-z_-]{1,64}"


class CookielessSessions(SecureCookieSessionInterface):
    """Sessions as ever, but none for the interface: it never reads a cookie and never sets one."""

    def open_session(self, app: Flask, request: Request) -> Any:
        """Return a session that cannot be written for requests of the interface."""
        if is_interface(request.path):
            return self.make_null_session(app)
        return super().open_session(app, request)


class BodyParser(FlaskParser):
    """Reads the JSON body and the address; says no in our words."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE, "json": None}

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the object in the body, `missing` for an empty one.

        Raises Malformed for bytes that are not a JSON object in UTF-8, 415 for another type of content.
        """
        body = req.get_data()
        if not body:
            return missing
        if req.mimetype != "application/json" and not req.mimetype.endswith("+json"):
            raise UnsupportedMediaType()
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Malformed() from None
        if not isinstance(data, dict):
            raise Malformed()
        return data

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any) -> NoReturn:
        """Raise InvalidField with the messages of each field."""
        found = error.normalized_messages()
        location = next(iter(found)) if len(found) == 1 else None
        by_field = found[location] if location in ("json", "query") else found
        raise InvalidField(errors=_flat(by_field))


def _flat(messages: Any, prefix: str = "") -> dict[str, list[str]]:
    """Return messages by dotted field name."""
    if not isinstance(messages, dict):
        return {prefix or "body": [str(message) for message in messages]}
    flat: dict[str, list[str]] = {}
    for name, inner in messages.items():
        key = "body" if name == "_schema" else str(name)
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else key)
    return flat


def prepare_app(app: Application) -> None:
    """Teach the application addresses, sessions and bodies of the interface."""
    app.url_map.converters["id"] = IdConverter
    app.url_map.converters["no"] = NumberConverter
    app.session_interface = CookielessSessions()
    # First of all, because whatever refuses a request must find its body read.
    app.before_interface.insert(0, _open_request)
    app.teardown_request(_close_request)


def _open_request() -> Response | None:
    """Read the body, and answer addresses that do not exist; nobody else's error pages are asked."""
    _enter_context()
    try:
        _read_body()
    except HTTPException as error:
        return http_answer(error)
    except Exception as error:
        # Chunks that are none, or a client that left: each web server has exceptions of its own for it.
        log.info("body not readable: %s", type(error).__name__)
        return http_answer(BadRequest())
    if request.routing_exception is not None:
        return http_answer(request.routing_exception)
    return None


def _enter_context() -> None:
    """Set the store scope for this request, and forget what one before it left in the context.

    The language is picked when a text is asked for. Customers are limited by what they own, which every
    service checks; stores do not limit them.
    """
    for name in ("actor", "session_id", "failure_limits"):
        g.pop(name, None)
    refresh()
    g.scope_before = current_scope()
    set_scope(ALL_STORES)
    set_reading_only(True)


def _close_request(error: BaseException | None) -> None:
    scope = g.pop("scope_before", None)
    if scope is not None:
        set_scope(scope)
        set_reading_only(False)
        refresh()


def _read_body() -> None:
    limit = current_app.config["API_BODY_LIMIT_BYTES"]
    stream = get_input_stream(request.environ, max_content_length=None)
    body = b""
    while len(body) <= limit and (chunk := stream.read(min(CHUNK_BYTES, limit + 1 - len(body)))):
        body += chunk
    if len(body) > limit:
        _drop(stream)
        raise RequestEntityTooLarge()
    request.environ["wsgi.input"] = io.BytesIO(body)
    request.environ["CONTENT_LENGTH"] = str(len(body))
    request.environ.pop("HTTP_TRANSFER_ENCODING", None)


def _drop(stream: Any) -> None:
    """Read what is left: closing a connection with unread bytes resets it before the answer is read."""
    deadline = time.monotonic() + DROPPING_SECONDS
    left = DROPPED_BYTES_LIMIT
    while left > 0 and time.monotonic() < deadline and (chunk := stream.read(CHUNK_BYTES)):
        left -= len(chunk)
