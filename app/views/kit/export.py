"""CSV export of a filtered list: streamed, capped, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

from flask import Response, stream_with_context
from flask_appbuilder import expose, has_access
from flask_appbuilder.baseviews import BaseCRUDView
from flask_babel import gettext as _
from markupsafe import escape

from app.domain.actor import StoreScope
from app.domain.clock import utc_now
from app.extensions import current_scope, use_scope
from app.views.kit.arguments import apply_filter_arguments, apply_quick_search, list_arguments
from app.views.kit.cells import plain_value
from app.views.kit.kinds import NUMBERS, kind_of
from app.views.kit.values import to_local

BYTE_ORDER_MARK = "\ufeff"
ROWS_AT_ONCE = 500
# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def guarded(text: str) -> str:
    """Return *text* so that no spreadsheet takes it for a formula."""
    return "'" + text if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


class ExportMixin(BaseCRUDView):
    """Adds ``GET /export``: the list as it is filtered and ordered, without pages."""

    export_columns: Any = None
    """What an export holds; the list columns by default."""
    export_row_cap = 50_000

    @expose("/export")
    @has_access
    def export(self) -> Response:
        """Answer the filtered rows in scope as CSV (UTF-8 with byte-order mark)."""
        arguments = list_arguments(self)
        filters = apply_filter_arguments(self._filters)
        apply_quick_search(self, filters)
        joined = filters.get_joined_filters(self._base_filters)
        query = self.datamodel.ordered(joined, arguments.order_column, arguments.order_direction)
        name = f"{type(self).__name__.removesuffix('View').lower()}-{to_local(utc_now()):%Y%m%d-%H%M}.csv"
        lines = self._csv_lines(query.limit(self.export_row_cap + 1), current_scope())
        response = Response(stream_with_context(lines), mimetype="text/csv")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.headers["Cache-Control"] = "no-store"
        return response

    def _csv_lines(self, query: Any, scope: StoreScope) -> Iterator[str]:
        """Yield the text in parts, from a session of its own: the request's ends before the stream does."""
        yield BYTE_ORDER_MARK + _csv_line([str(self.label_columns[name]) for name in self.export_columns])
        session = self.datamodel.session.session_factory()
        rows = iter(query.with_session(session).yield_per(ROWS_AT_ONCE))
        try:
            left = self.export_row_cap
            while left:
                with use_scope(scope):
                    part = [self._csv_row(row) for row in islice(rows, min(left, ROWS_AT_ONCE))]
                if not part:
                    return
                left -= len(part)
                yield "".join(part)
            if next(rows, None) is not None:
                yield _csv_line([_("Only the first %(count)s rows are shown.", count=self.export_row_cap)])
        finally:
            session.close()

    def _csv_row(self, row: Any) -> str:
        return _csv_line([self._csv_cell(row, name) for name in self.export_columns])

    def _csv_cell(self, row: Any, name: str) -> str:
        model = self.datamodel.obj
        value = self.datamodel._get_attr_value(row, name)
        if words := self._csv_words(name, value):
            return guarded(words)
        text = plain_value(model, name, value)
        return text if kind_of(model, name) in NUMBERS else guarded(text)

    def _csv_words(self, name: str, value: Any) -> str:
        """Return the text that the screen shows by a formatter of its own; none for pictures and the like."""
        write = (type(self).formatters_columns or {}).get(name)
        return "" if write is None or value is None else escape(write(value)).striptags()


def _csv_line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
