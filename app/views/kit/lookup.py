"""The address that fills remote selects: scoped, paged and only for fields that the user may use."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, jsonify, request
from flask_appbuilder import expose, has_access
from flask_appbuilder.baseviews import BaseCRUDView

from app.views.kit.kinds import Kind, kind_of, related_model
from app.views.kit.relation_fields import LOOKUP_LAST_PAGE, RelatedRows
from app.views.kit.values import InvalidText, parse_integer


class LookupMixin(BaseCRUDView):
    """Adds ``GET /lookup/<field>?q=&page=`` for the relations of a view's forms and filters."""

    @expose("/lookup/<string:field>")
    @has_access
    def lookup(self, field: str) -> Response:
        """Answer ``{"items": [{"id", "text"}], "has_more"}``, 20 rows a page."""
        criteria = self._lookup_criteria(field)
        rows = RelatedRows(
            related_model(self.datamodel.obj, field), self.lookup_columns.get(field, ()), criteria
        )
        try:
            page = parse_integer(request.args.get("page", "0"), 0, LOOKUP_LAST_PAGE)
        except InvalidText:
            page = 0
        found, has_more = rows.search(request.args.get("q", ""), page)
        items = [{"id": rows.key(row), "text": rows.label(row)} for row in found]
        return jsonify({"items": items, "has_more": has_more})

    def _lookup_criteria(self, field: str) -> Any:
        """Return the condition on the choices of *field*; ends with 404 or 403."""
        forms = {
            **dict.fromkeys(self.edit_columns, self.edit_form_query_rel_fields),
            **dict.fromkeys(self.add_columns, self.add_form_query_rel_fields),
        }
        is_filter = field in self.search_columns
        if field not in forms and not is_filter:
            abort(404)
        if kind_of(self.datamodel.obj, field) not in (Kind.RELATION, Kind.RELATIONS):
            abort(404)
        if is_filter:
            return None
        if not self.appbuilder.sm.has_access("can_write", self.class_permission_name):
            abort(403)
        return (forms[field] or {}).get(field)
