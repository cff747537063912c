"""Payments, refunds and the reports that release their money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, flash, redirect, url_for
from flask_appbuilder import expose, has_access
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.events import reason_label
from app.models import Payment, Refund, ShippingReport
from app.services import abnormal_refunds, shipping
from app.views.answers import posted_values, told_refusal, wants_json
from app.views.base import KitInterface, LedgerView, action
from app.views.kit.arguments import local_path
from app.views.kit.current import current_actor
from app.views.once import answer_once
from app.views.order_words import route_text


class PaymentView(LedgerView):
    """What customers paid, by whichever service."""

    route_base = "/payments"
    datamodel = KitInterface(Payment)
    list_title = _l("Payments")
    item_title = _l("Payment")
    label_columns = {
        "payment_no": _l("Number"),
        "order": _l("Order"),
        "channel": _l("Channel"),
        "transaction_no": _l("Transaction"),
        "refund_reserved_fen": _l("Refunds"),
        "paid_at": _l("Paid at"),
        "closed_at": _l("Closed at"),
    }
    list_columns = ["payment_no", "order", "channel", "status", "amount_fen", "paid_at", "created_at"]
    show_columns = [*list_columns, "transaction_no", "refund_reserved_fen", "closed_at"]
    search_columns = ["status", "channel", "created_at"]
    quick_search_columns = ["payment_no", "transaction_no"]
    order_columns = ["amount_fen", "paid_at", "created_at"]
    base_order = ("created_at", "desc")


class RefundView(LedgerView):
    """What went back, and what is stuck."""

    route_base = "/refunds"
    datamodel = KitInterface(Refund)
    list_title = _l("Refunds")
    item_title = _l("Refund")
    label_columns = {
        "refund_no": _l("Number"),
        "order": _l("Order"),
        "route": _l("Way back"),
        "reference_no": _l("Number of the transfer"),
        "provider_refund_no": _l("Transaction"),
        "finished_at": _l("Finished"),
        "try_count": _l("Tries"),
        "last_error": _l("Last error"),
    }
    formatters_columns = {"reason": reason_label, "route": route_text}
    list_columns = ["refund_no", "order", "status", "amount_fen", "reason", "created_at", "finished_at"]
    show_columns = [*list_columns, "route", "reference_no", "provider_refund_no", "try_count", "last_error"]
    search_columns = ["status", "created_at"]
    quick_search_columns = ["refund_no"]
    order_columns = ["amount_fen", "created_at", "finished_at"]
    base_order = ("created_at", "desc")
    method_permission_name = {"retry": "settle", "hand_back": "settle"}

    @expose("/<string:refund_no>/retry", methods=["POST"])
    @has_access
    def retry(self, refund_no: str) -> Any:
        """Ask the service for an abnormal refund once more, under the same number."""
        return self._settled(
            lambda _values: abnormal_refunds.retry_refund(refund_no, actor=current_actor(), now=utc_now()),
            _l("The refund is being tried again."),
        )

    @expose("/<string:refund_no>/hand-back", methods=["POST"])
    @has_access
    def hand_back(self, refund_no: str) -> Any:
        """Record that an abnormal refund was handed back another way, with its reason and reference."""
        return self._settled(
            lambda values: abnormal_refunds.hand_back(
                refund_no, values, actor=current_actor(), now=utc_now()
            ),
            _l("Recorded. The refund is done."),
        )

    def _settled(self, act: Callable[[dict[str, Any]], dict[str, Any]], done: Any) -> Any:
        values = posted_values()
        answer = answer_once(values, lambda: act(values))
        if wants_json():
            return answer
        if answer.status_code == 404:
            abort(404)
        if answer.status_code >= 400:
            flash(told_refusal(answer.json), "danger")
        else:
            flash(str(done), "success")
        return redirect(local_path(values.get("next")) or url_for("RefundView.list"))


class ShippingReportView(LedgerView):
    """What WeChat was told to release, and what it did not take."""

    route_base = "/shipping-reports"
    datamodel = KitInterface(ShippingReport)
    list_title = _l("Reports to WeChat")
    item_title = _l("Report to WeChat")
    label_columns = {
        "payment": _l("Payment"),
        "order": _l("Order"),
        "attempt_count": _l("Tries"),
        "next_attempt_at": _l("Next try"),
        "reported_at": _l("Reported at"),
        "last_error": _l("Last error"),
    }
    list_columns = ["payment", "order", "status", "attempt_count", "created_at", "reported_at"]
    show_columns = [*list_columns, "next_attempt_at", "last_error"]
    search_columns = ["status", "created_at"]
    order_columns = ["created_at", "reported_at"]
    base_order = ("created_at", "desc")
    eager_columns = ("payment", "order")

    @action("resend", _l("Send again"), _l("Send these reports again?"), "fa-paper-plane")
    def resend(self, items: Any) -> None:
        """Send reports again that failed for good."""
        for row in items if isinstance(items, list) else [items]:
            shipping.resend_report(row.id, actor=current_actor(), now=utc_now())
