"""The language of an API answer: what the client asks for, never what a session remembers."""

from __future__ import annotations

from functools import lru_cache

from flask import has_request_context, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from app.extensions import is_interface

DEFAULT_LANGUAGE = "zh"
_TRADITIONAL = {"hant", "tw", "hk", "mo"}


def is_api_request() -> bool:
    """Tell whether the present request is one of the mini-program's interface."""
    return has_request_context() and is_interface(request.path)


@lru_cache(maxsize=256)
def pick_language(accept_language: str | None) -> str:
    """Return `zh`, `zh_Hant` or `en` for an Accept-Language header; the first that we speak wins, else zh."""
    wanted = parse_accept_header(accept_language, LanguageAccept)
    found = (_spoken(tag) for tag, quality in wanted if quality > 0)
    return next((language for language in found if language), DEFAULT_LANGUAGE)


def _spoken(tag: str) -> str | None:
    main, *parts = tag.lower().replace("_", "-").split("-")
    if main == "en":
        return "en"
    if main == "zh":
        return "zh_Hant" if _TRADITIONAL.intersection(parts) else "zh"
    return None
