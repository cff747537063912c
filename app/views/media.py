"""Serves stored pictures and videos; in production the web server in front may do it."""

from __future__ import annotations

from flask import Blueprint, abort, make_response, request
from werkzeug.wrappers import Response

from app.domain.errors import NotFound
from app.services.media import read_media

blueprint = Blueprint("media", __name__)
# Names of stored files change with their content.
MONTH_SECONDS = 30 * 24 * 3600


@blueprint.get("/media/<path:key>")
def file(key: str) -> Response:
    """Return a stored file, cached for a month."""
    try:
        content, media_type = read_media(key)
    except NotFound:
        abort(404)
    answer = make_response(content)
    answer.mimetype = media_type
    answer.headers["Cache-Control"] = f"public, max-age={MONTH_SECONDS}, immutable"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.add_etag()
    return answer.make_conditional(request)
