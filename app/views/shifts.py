"""Shifts of cashiers: opening with the float, what came and went, closing with what was counted."""

from __future__ import annotations

from typing import Any

from flask import abort, current_app, flash, g, redirect, request, url_for
from flask_appbuilder import expose, has_access
from flask_appbuilder.models.filters import BaseFilter
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Query

from app.domain.clock import utc_now
from app.domain.counter import read_fen
from app.domain.errors import DomainError
from app.models import Shift
from app.services import shifts
from app.views.answers import (
    id_in,
    in_fen,
    json_answer,
    posted_values,
    problem,
    told_refusal,
    wants_json,
    whole_number,
)
from app.views.base import KitInterface, LedgerView, ShortAddress
from app.views.kit.arguments import local_path
from app.views.kit.current import current_actor
from app.views.once import answer_once

NUMBER = id_in("shift_id")


def is_overseer() -> bool:
    """Tell whether the user sees the shifts of everybody in their stores."""
    sm = current_app.appbuilder.sm  # type: ignore[attr-defined]
    return bool(sm.has_access("can_oversee", "ShiftView"))


class OwnShifts(BaseFilter):
    """Cashiers see their own shifts only."""

    name = _l("Own shifts")

    def apply(self, query: Query[Any], value: Any) -> Query[Any]:
        """Limit *query*, unless the user oversees the store."""
        return query if is_overseer() else query.filter(Shift.cashier_id == g.user.id)


class ShiftView(ShortAddress, LedgerView):
    """Every shift that the user may see."""

    route_base = "/shifts"
    datamodel = KitInterface(Shift)
    list_template = "pages/shift_list.html"
    list_title = _l("Shifts")
    item_title = _l("Shift")
    label_columns = {
        "cashier_name": _l("Cashier"),
        "opened_at": _l("Opened"),
        "closed_at": _l("Closed at"),
        "float_fen": _l("Cash at the start"),
        "difference_fen": _l("Difference"),
        "reason": _l("Reason"),
    }
    list_columns = [
        *("opened_at", "cashier_name", "store", "status", "float_fen", "closed_at", "difference_fen"),
        "reason",
    ]
    show_columns = list_columns
    search_columns = ["status", "store", "opened_at"]
    quick_search_columns = ["cashier_name"]
    quick_search_hint = _l("Cashier")
    order_columns = ["opened_at", "closed_at", "difference_fen"]
    base_order = ("opened_at", "desc")
    base_filters = [["cashier_id", OwnShifts, None]]
    # Seeing the shifts of others is a right of its own without a page of its own.
    base_permissions = ["can_read", "can_write", "can_export", "can_oversee"]
    method_permission_name = {
        "index": "read",
        "page": "read",
        "form": "write",
        "open": "write",
        "close": "write",
    }

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Any:
        """Rows of the list lead to the page of the shift."""
        item = self.datamodel.get(pk, self._base_filters)
        return abort(404) if item is None else redirect(url_for("ShiftView.page", shift_id=item.id))

    @expose("/open", methods=["GET"])
    @has_access
    def form(self) -> Any:
        """Where one's own shift is opened."""
        return self._form(request.args, "", 200)

    @expose("/open", methods=["POST"])
    @has_access
    def open(self) -> Any:
        """Open one's own shift in a store; ends on the page that asked for it."""
        values = posted_values()
        answer = answer_once(values, lambda: {"id": _open(values)}, status=201)
        if wants_json():
            return answer
        if answer.status_code >= 400:
            return self._form(values, told_refusal(answer.json), answer.status_code)
        flash(_("Your shift is open."), "success")
        page = url_for("ShiftView.page", shift_id=answer.json["id"])
        return redirect(local_path(values.get("next")) or page)

    def _form(self, values: Any, error: str, status: int) -> Any:
        stores = shifts.list_stores(actor=current_actor())
        page = self.render_template("pages/shift_open.html", stores=stores, values=values, error=error)
        return page, status

    @expose(f"/{NUMBER}")
    @has_access
    def page(self, shift_id: int) -> Any:
        """One shift with its sums and every movement."""
        return self._page(shift_id, {}, None)

    @expose(f"/{NUMBER}/close", methods=["POST"])
    @has_access
    def close(self, shift_id: int) -> Any:
        """Close with what was counted; what differs from what was expected needs a reason."""
        values = posted_values()
        answer = answer_once(values, lambda: _close(shift_id, values))
        if wants_json():
            return answer
        if answer.status_code >= 400:
            return self._page(shift_id, values, answer)
        flash(_("The shift is closed."), "success")
        return redirect(url_for("ShiftView.page", shift_id=shift_id))

    def _page(self, shift_id: int, values: dict[str, Any], refusal: Any) -> Any:
        status = refusal.status_code if refusal else 200
        try:
            shift = shifts.get_shift(shift_id, is_overseer=is_overseer(), actor=current_actor())
        except DomainError as error:
            return problem(error) if wants_json() else abort(error.status)
        if wants_json():
            return json_answer(shift)
        told = refusal.json if refusal else None
        page = self.render_template(
            "pages/shift.html",
            shift=shift,
            values=values,
            error=told_refusal(told) if told else "",
            needs_reason=bool(told and told["code"] == "difference_unexplained"),
            counted_field=lambda channel: shifts.counted_field(channel).removesuffix("_fen"),
        )
        return page, status


def _open(values: dict[str, Any]) -> int:
    given = in_fen(values, "float")
    store_id = whole_number(given, "store_id", _l("Please choose a store."))
    float_fen = read_fen(given, "float_fen") or 0
    return shifts.open_shift(store_id, float_fen=float_fen, actor=current_actor(), now=utc_now())


def _close(shift_id: int, values: dict[str, Any]) -> dict[str, Any]:
    counted = in_fen(values, "counted_cash", "counted_pos")
    return shifts.close_shift(
        shift_id, counted, is_overseer=is_overseer(), actor=current_actor(), now=utc_now()
    )
