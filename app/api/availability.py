"""Answers about availability: bytes as they are kept, and none at all when the client's own still hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flask import Response, request

from app.api.answers import JSON, not_modified, tagged
from app.services.availability import Answer


def availability_answer(read: Callable[[Iterable[str]], Answer]) -> Response:
    """Return the availability that *read* finds for the tags that the client has, or 304.

    The schemas of these operations document the answer; tests hold it against them.
    """
    found = read(request.if_none_match.as_set(include_weak=True))
    if found.body is None:
        return not_modified(found.tag)
    return tagged(Response(found.body, content_type=JSON), found.tag)
