"""Answers about availability: written without a schema's detours, and not at all when nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response

from app.api.answers import is_known, json_answer, not_modified, tagged
from app.services import availability


def availability_answer(
    query: dict[str, Any], *, version: Callable[[], str] | None, read: Callable[[], dict[str, Any]]
) -> Response:
    """Return the availability that *read* finds, or 304 when the client's tag names this version and window.

    The schemas of these operations document the answer; tests hold it against them.
    """
    window = f"{query['from_at'].timestamp():.0f}-{query['to_at'].timestamp():.0f}"
    if version is not None and is_known(tag := f"{version()}-{window}"):
        return not_modified(tag)
    found = read()
    rooms = found.get("rooms", [found])
    for room in rooms:
        room["room_id"] = str(room["room_id"])
    return tagged(json_answer(found), f"{found['version']}-{window}")


__all__ = ["availability", "availability_answer"]
