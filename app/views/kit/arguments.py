"""Reads the query string of lists: what is known and well typed is used, everything else is ignored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import request
from werkzeug.datastructures import MultiDict

from app.views.kit.filters import KitFilters
from app.views.kit.values import InvalidText, parse_integer, parse_text

MAX_PAGE_SIZE = 100
LAST_PAGE = 1_000_000
QUICK_SEARCH = "q"

_FILTER = re.compile(r"_flt_(\d)_(\w+)")


@dataclass(frozen=True)
class ListArguments:
    """Page, page size and order of one list."""

    page: int = 0
    page_size: int = 25
    order_column: str = ""
    order_direction: str = ""


def _whole(text: str | None, low: int, high: int, default: int) -> int:
    try:
        return max(low, min(high, parse_integer(text or "", -(2**31), 2**31)))
    except InvalidText:
        return default


def list_arguments(view: Any, args: MultiDict[str, str] | None = None) -> ListArguments:
    """Return the arguments for the list of *view*: sizes clamped, order only by its `order_columns`."""
    args = request.args if args is None else args
    name = type(view).__name__
    column, direction = args.get(f"_oc_{name}", ""), args.get(f"_od_{name}", "")
    if column not in view.order_columns or direction not in ("asc", "desc"):
        column, direction = view.base_order or ("", "")
    return ListArguments(
        page=_whole(args.get(f"page_{name}"), 0, LAST_PAGE, 0),
        page_size=_whole(args.get(f"psize_{name}"), 1, MAX_PAGE_SIZE, view.page_size),
        order_column=column,
        order_direction=direction,
    )


def apply_filter_arguments(filters: KitFilters, args: MultiDict[str, str] | None = None) -> KitFilters:
    """Activate the filters that the query string names, as far as the view offers them."""
    args = request.args if args is None else args
    for key in args:
        match = _FILTER.fullmatch(key)
        if match is not None:
            filters.add_filter_index(match[2], int(match[1]), args.getlist(key))
    return filters


def apply_quick_search(view: Any, filters: KitFilters, args: MultiDict[str, str] | None = None) -> str:
    """Activate the quick search and return its text, empty when there is none."""
    args = request.args if args is None else args
    try:
        text = parse_text(args.get(QUICK_SEARCH, "")) if view.quick_search_columns else ""
    except InvalidText:
        text = ""
    if text:
        filters.add_filter(
            view.quick_search_columns[0], view.quick_search_filter, (text, view.quick_search_columns)
        )
    return text


def preset_relations(view: Any, args: MultiDict[str, str] | None = None) -> dict[str, str]:
    """Return the relations that a link from a related tab presets (``_flt_0_room=9``), by their keys."""
    args = request.args if args is None else args
    found = {}
    for key in args:
        match = _FILTER.fullmatch(key)
        if match is not None and match[1] == "0" and match[2] in view.preset_columns:
            found[match[2]] = args[key]
    return found


def local_path(url: str | None) -> str | None:
    """Return *url* if it is a path on this site, else None; no other host or scheme passes."""
    if not url or not url.startswith("/") or len(url) > 2000 or "\\" in url:
        return None
    if any(ord(char) < 32 or ord(char) == 127 for char in url) or url.startswith("//"):
        return None
    parts = urlsplit(url)
    return None if parts.scheme or parts.netloc else url
