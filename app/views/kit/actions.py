"""Actions on rows: POST only, inside the scope, all or nothing."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.baseviews import BaseCRUDView
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.views.kit.errors import refusal_of

MAX_ROWS = 200


class ActionsMixin(BaseCRUDView):
    """Runs the methods marked with FAB's ``@action`` on rows that the user may see.

    A method gets one row from a detail page and a list of rows from a list. It calls one service function
    and may return a response; a DomainError is shown as a message and nothing of the action stays.
    """

    @expose("/action/<string:name>/<pk>", methods=["POST"])
    def action(self, name: str, pk: str) -> Response:
        """Run the action *name* on one row."""
        chosen = self._permitted_action(name, is_single=True)
        item = self.datamodel.get(pk, self._base_filters)
        if item is None:
            abort(404)
        return self._run(chosen, item)

    @expose("/action_post", methods=["POST"])
    def action_post(self) -> Response:
        """Run the action of the form field ``action`` on the rows ``rowid``."""
        chosen = self._permitted_action(request.form.get("action", ""), is_single=False)
        keys = list(dict.fromkeys(request.form.getlist("rowid")))
        if not keys or len(keys) > MAX_ROWS:
            flash(_("Please choose between 1 and %(count)s rows.", count=MAX_ROWS), "warning")
            return redirect(self.back_url())
        items = self.datamodel.get_many(keys, self._base_filters)
        if items is None:
            abort(404)
        return self._run(chosen, items)

    def _permitted_action(self, name: str, *, is_single: bool) -> Any:
        """Return the action, or end with 404 when there is none here and 403 without the right to it."""
        chosen = self.actions.get(name)
        if chosen is None or not (chosen.single if is_single else chosen.multiple):
            abort(404)
        permission = self.get_action_permission_name(name)
        if not self.appbuilder.sm.has_access(permission, self.class_permission_name):
            abort(403)
        return chosen

    def _run(self, chosen: Any, target: Any) -> Response:
        session = self.datamodel.session
        try:
            answer = chosen.func(target)
            session.commit()
        except Exception as error:
            session.rollback()
            refusal = refusal_of(error, self.datamodel.obj, self.constraint_messages)
            refusal.flash()
            return redirect(self.back_url())
        return answer if answer is not None else redirect(self.back_url())

    def back_url(self) -> str:
        """Return where to go after an action; the view says."""
        raise NotImplementedError
