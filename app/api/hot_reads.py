"""What is asked most: availability without a login, answered before the framework gets to see it.

Only the plain case ends here: an address and a query that are right, within the limit, and nothing that
fails. Everything else goes the ordinary way, which looks at all of it again; so no refusal is written twice,
and the answers here are byte for byte those of `app.api.stores` and `app.api.rooms`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from marshmallow import ValidationError
from werkzeug.exceptions import SecurityError
from werkzeug.http import parse_etags
from werkzeug.wsgi import get_host

from app.api.answers import JSON
from app.api.limits import is_within_limit
from app.api.schemas.base import MAX_ID
from app.api.schemas.stores import WindowQuery
from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.extensions import Application, use_scope
from app.services.availability import Answer, read_room_availability, read_store_availability

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH = re.compile(r"/api/v1/(stores|rooms)/([1-9][0-9]{0,9})/availability", re.ASCII)
_READS = {"stores": read_store_availability, "rooms": read_room_availability}
# A login is counted too, conditions are for the framework to judge, and a body has to be read.
_SPECIAL = ("HTTP_AUTHORIZATION", "HTTP_IF_MATCH", "HTTP_RANGE", "HTTP_TRANSFER_ENCODING")


def answer_hot_reads(app: Application, ordinary: WSGIApplication) -> WSGIApplication:
    """Return a WSGI application that answers hot reads and hands everything else to *ordinary*."""

    def run(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = _read(app, environ)
        if found is None:
            return ordinary(environ, start_response)
        status = 304 if found.body is None else 200
        headers = [("ETag", f'W/"{found.tag}"'), ("Cache-Control", "no-cache")]
        if found.body is not None:
            headers += [("Content-Type", JSON), ("Content-Length", str(len(found.body)))]
        headers += app.interface_headers(environ).items()
        app.count_answer(status)
        start_response("200 OK" if found.body is not None else "304 NOT MODIFIED", headers)
        return [] if found.body is None else [found.body]

    return run


def _read(app: Application, environ: WSGIEnvironment) -> Answer | None:
    """Return the answer of the plain case, None for anything else."""
    path = _PATH.fullmatch(environ.get("PATH_INFO", ""))
    if path is None or environ["REQUEST_METHOD"] != "GET" or not _is_plain(app, environ):
        return None
    number, known = int(path[2]), parse_etags(environ.get("HTTP_IF_NONE_MATCH"))
    if number > MAX_ID or known.star_tag:
        return None
    with app.app_context(), use_scope(ALL_STORES):
        window = _window(environ.get("QUERY_STRING", ""))
        if window is None or not is_within_limit(environ.get("REMOTE_ADDR", "")):
            return None
        try:
            return _READS[path[1]](number, **window, now=utc_now(), known=known.as_set(include_weak=True))
        except Exception:
            # Refused or failed: the ordinary way meets it too, and has the words for it.
            return None


def _is_plain(app: Application, environ: WSGIEnvironment) -> bool:
    if any(name in environ for name in _SPECIAL) or environ.get("CONTENT_LENGTH") not in (None, "", "0"):
        return False
    try:
        get_host(environ, app.config["TRUSTED_HOSTS"])
    except SecurityError:
        return False
    return True


@lru_cache(maxsize=4096)
def _window(query: str) -> dict[str, Any] | None:
    """Return the window that a query names, None where it is not exactly that."""
    given = parse_qsl(query, keep_blank_values=True)
    if len(given) != 2:
        return None
    try:
        found: dict[str, Any] = WindowQuery().load(dict(given))
    except ValidationError:
        return None
    return found
