"""The two kinds of generated screens: reference data that people edit, ledgers that only services write."""

from __future__ import annotations

from flask_appbuilder.actions import action

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


__all__ = ["KitInterface", "KitModelView", "LedgerView", "ReferenceView", "Refusal", "action"]
