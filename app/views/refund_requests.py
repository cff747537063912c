"""Refund requests in the back office: the queue, one request with what the rules give, and the decision."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_appbuilder import expose, has_access
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.errors import DomainError, InvalidField
from app.models import RefundRequest
from app.services import refund_requests, staff_orders
from app.views.answers import id_in, in_fen, json_answer, posted_values, problem, refusal_text, wants_json
from app.views.base import KitInterface, LedgerView, ShortAddress
from app.views.kit.current import current_actor


class RefundRequestView(ShortAddress, LedgerView):
    """Customers who ask for money back."""

    route_base = "/refund-requests"
    datamodel = KitInterface(RefundRequest)
    list_title = _l("Refund requests")
    item_title = _l("Refund request")
    label_columns = {
        "order": _l("Order"),
        "reason": _l("Reason"),
        "amount_fen": _l("Asked for"),
        "policy_fen": _l("By the rules"),
        "approved_fen": _l("Approved"),
        "decided_at": _l("Decided"),
        "decided_by": _l("Decided by"),
        "decision_reason": _l("Decision"),
    }
    list_columns = ["created_at", "order", "status", "reason", "amount_fen", "policy_fen", "approved_fen"]
    show_columns = [*list_columns, "decided_at", "decided_by", "decision_reason"]
    search_columns = ["status", "created_at"]
    order_columns = ["created_at", "amount_fen", "policy_fen"]
    base_order = ("created_at", "desc")
    eager_columns = ("order",)
    method_permission_name = {
        "index": "read",
        "page": "read",
        "approve": "decide",
        "refuse": "decide",
    }

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Any:
        """Rows of the list lead to the page of the request."""
        if not pk.isdecimal() or len(pk) > 9:
            abort(404)
        return redirect(url_for("RefundRequestView.page", request_id=int(pk)))

    @expose(f"/{id_in('request_id')}")
    @has_access
    def page(self, request_id: int) -> Any:
        """One request with its order and what the rules give."""
        actor, now = current_actor(), utc_now()
        try:
            review = refund_requests.get_review(request_id, actor=actor, now=now)
        except DomainError as error:
            return _gone(error)
        if wants_json():
            return json_answer(review)
        order = staff_orders.get_order_page(review["order_no"], actor=actor, now=now)
        return self.render_template("pages/refund_request.html", order=order, **review)

    @expose(f"/{id_in('request_id')}/approve", methods=["POST"])
    @has_access
    def approve(self, request_id: int) -> Any:
        """Give back what the rules give, everything, or an amount of one's own."""
        return self._decide(request_id, is_approved=True)

    @expose(f"/{id_in('request_id')}/refuse", methods=["POST"])
    @has_access
    def refuse(self, request_id: int) -> Any:
        """Refuse with a reason that the customer reads."""
        return self._decide(request_id, is_approved=False)

    def _decide(self, request_id: int, *, is_approved: bool) -> Any:
        actor, now = current_actor(), utc_now()
        try:
            values = posted_values()
            reason = str(values.get("reason") or "")
            if is_approved:
                amount_fen = _amount_fen(values)
                found = refund_requests.approve_request(
                    request_id, amount_fen=amount_fen, reason=reason, actor=actor, now=now
                )
            else:
                found = refund_requests.reject_request(request_id, reason=reason, actor=actor, now=now)
        except DomainError as error:
            return self._refused(error, request_id)
        if wants_json():
            return json_answer(found)
        flash(_("Refund approved.") if is_approved else _("Refund refused."), "success")
        return redirect(url_for("RefundRequestView.page", request_id=request_id))

    def _refused(self, error: DomainError, request_id: int) -> Any:
        if wants_json() or error.status == 404:
            return _gone(error)
        flash(refusal_text(error), "danger")
        return redirect(url_for("RefundRequestView.page", request_id=request_id))


def _gone(error: DomainError) -> Any:
    return problem(error) if wants_json() else abort(error.status)


def _amount_fen(values: dict[str, Any]) -> int | None:
    """Return the amount of a decision: none by the rules, else whole fen or the yuan of the form."""
    chosen = values.get("amount_fen")
    if request.is_json:
        if chosen is None or (isinstance(chosen, int) and not isinstance(chosen, bool)):
            return chosen
        raise InvalidField.of("amount_fen", _l("Please give the amount in fen."))
    if chosen == "other":
        typed = in_fen({"amount": values.get("amount")}, "amount")
        if "amount_fen" not in typed:
            raise InvalidField.of("amount_fen", _l("Please give the amount."))
        return int(typed["amount_fen"])
    return None if chosen in (None, "") else staff_orders.whole_fen(chosen)
