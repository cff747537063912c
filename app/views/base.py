"""The two kinds of generated screens: reference data that people edit, ledgers that only services write."""

from __future__ import annotations

from flask import redirect, url_for
from flask_appbuilder import expose, has_access
from flask_appbuilder.actions import action
from werkzeug.wrappers import Response

from app.views.kit import KitInterface, KitModelView, Refusal


class ReferenceView(KitModelView):
    """Create, read, update and delete for data whose whole rule is a constraint or a validator."""


class LedgerView(KitModelView):
    """List and detail page of anything with a status, money or stock.

    There are no routes to add, edit or delete; every change is an ``@action`` or a form that calls one
    service function.
    """

    exclude_route_methods = {"add", "edit", "delete", "download"}
    add_columns: list[str] = []
    edit_columns: list[str] = []


class ShortAddress:
    """For a list that is also found at the address of its subject; `index` needs the right to read."""

    @expose("/")
    @has_access
    def index(self) -> Response:
        """The list at its short address."""
        return redirect(url_for(f"{type(self).__name__}.list"))


__all__ = ["KitInterface", "KitModelView", "LedgerView", "ReferenceView", "Refusal", "ShortAddress", "action"]
