"""Daily bills in the back office: days with both sides' sums, differences, and their explanation."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import abort, flash, make_response, redirect, url_for
from flask_appbuilder import expose, has_access
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.errors import DomainError, InvalidField
from app.domain.reconciliation import bill_date
from app.domain.states import BillStatus
from app.models import Bill, BillDifference, BillService
from app.services import bills, channels, reconciliation
from app.views import bill_words as words
from app.views.answers import id_in, json_answer, posted_values, problem, refusal_text, wants_json
from app.views.base import KitInterface, LedgerView, ShortAddress
from app.views.kit.current import current_actor

SIDES: dict[str, Any] = {
    "here_paid": _l("Received here"),
    "there_paid": _l("Received in the bill"),
    "here_refunded": _l("Refunded here"),
    "there_refunded": _l("Refunded in the bill"),
}
BILL, DIFFERENCE = id_in("bill_id"), id_in("difference_id")


class BillView(ShortAddress, LedgerView):
    """Every day that was reconciled, or should have been."""

    route_base = "/bills"
    datamodel = KitInterface(Bill)
    # The bill is for all stores; its sums are those of the stores in scope.
    is_store_scoped = False
    list_template = "pages/bill_list.html"
    list_title = _l("Daily bills")
    item_title = _l("Daily bill")
    label_columns = {
        "bill_on": _l("Day"),
        "service": _l("Service"),
        **{name: label for each, label in SIDES.items() for name in (each, f"{each}_fen")},
        "checked_at": _l("Compared at"),
        "problem": _l("Problem"),
    }
    list_columns = ["bill_on", "service", "status", *SIDES]
    show_columns = [*list_columns, "checked_at", "problem"]
    export_columns = ["bill_on", "service", "status", *(f"{each}_fen" for each in SIDES), "checked_at"]
    search_columns = ["status", "service", "bill_on"]
    order_columns = ["bill_on"]
    base_order = ("bill_on", "desc")
    eager_columns = ("sums",)
    formatters_columns = dict.fromkeys(SIDES, words.side_cell)
    method_permission_name = {
        "index": "read",
        "page": "read",
        "file": "export",
        "run": "run",
        "run_again": "run",
    }

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Any:
        """Rows of the list lead to the page of the day."""
        item = self.datamodel.get(pk, self._base_filters)
        return abort(404) if item is None else redirect(url_for("BillView.page", bill_id=item.id))

    @expose(f"/{BILL}")
    @has_access
    def page(self, bill_id: int) -> Any:
        """One day: both sides' sums, what differs, and the file."""
        try:
            bill = bills.get_bill(bill_id, actor=current_actor())
        except DomainError as error:
            return _gone(error)
        if wants_json():
            return json_answer(bill)
        return self.render_template("pages/bill.html", bill=bill, words=words)

    @expose(f"/{BILL}/file")
    @has_access
    def file(self, bill_id: int) -> Any:
        """The file that was matched, to keep or to open elsewhere."""
        try:
            content, name = bills.read_bill_file(bill_id, actor=current_actor())
        except DomainError as error:
            return _gone(error)
        answer = make_response(content)
        answer.mimetype = "application/zip" if name.endswith(".zip") else "text/csv"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    @expose("/run", methods=["POST"])
    @has_access
    def run(self) -> Any:
        """Reconcile a day of one's choice."""
        try:
            values = posted_values()
            service, on = str(values.get("service") or ""), _read_day(values)
            bill_id = _run(service, on)
        except DomainError as error:
            return _refused(error, url_for("BillView.list"))
        return self._done(bill_id)

    @expose(f"/{BILL}/run", methods=["POST"])
    @has_access
    def run_again(self, bill_id: int) -> Any:
        """Fetch the bill of this day once more and compare anew."""
        page = url_for("BillView.page", bill_id=bill_id)
        try:
            bill = bills.get_bill(bill_id, actor=current_actor())
            _run(bill["service"].value, bill["bill_on"])
        except DomainError as error:
            return _refused(error, page)
        return self._done(bill_id)

    def _done(self, bill_id: int) -> Any:
        bill = bills.get_bill(bill_id, actor=current_actor())
        if wants_json():
            return json_answer(bill)
        kind = {BillStatus.MATCHED: "success", BillStatus.FAILED: "danger"}.get(bill["status"], "warning")
        flash(f"{bill['name']}: {bill['status'].label}", kind)
        return redirect(url_for("BillView.page", bill_id=bill_id))


def _run(service: str, on: date) -> int:
    return reconciliation.reconcile_day(service, on, actor=current_actor(), now=utc_now())


def _read_day(values: dict[str, Any]) -> date:
    try:
        return date.fromisoformat(str(values.get("on") or ""))
    except ValueError:
        raise InvalidField.of("on", _l("Please choose a day.")) from None


def _gone(error: DomainError) -> Any:
    return problem(error) if wants_json() else abort(error.status)


def _refused(error: DomainError, page: str) -> Any:
    """Back to where it was asked for, with what refused it."""
    if wants_json() or error.status == 404:
        return _gone(error)
    flash(refusal_text(error), "danger")
    return redirect(page)


def run_form() -> dict[str, Any]:
    """Return what the form of the list offers: the services that send bills, and the last finished day."""
    services = [BillService.of(name) for name in channels.bill_services()]
    yesterday = date.fromordinal(bill_date(utc_now()).toordinal() - 1)
    return {"services": services, "latest": yesterday.isoformat()}


class BillDifferenceView(ShortAddress, LedgerView):
    """What bills and our books differ in, as far as it belongs to one's stores."""

    route_base = "/bill-differences"
    datamodel = KitInterface(BillDifference)
    list_title = _l("Differences to bills")
    item_title = _l("Difference to a bill")
    label_columns = {
        "bill": _l("Bill"),
        "order": _l("Order"),
        "number": _l("Payment or refund"),
        "transaction_no": _l("Transaction"),
        "here_fen": _l("Here"),
        "there_fen": _l("In the bill"),
        "settled_at": _l("Time in the bill"),
        "closed_at": _l("Closed at"),
        "closed_by": _l("Closed by"),
        "created_at": _l("Found at"),
    }
    list_columns = ["bill", "kind", "number", "here_fen", "there_fen", "order", "status"]
    show_columns = [
        *list_columns,
        *("created_at", "transaction_no", "settled_at", "closed_at", "closed_by", "reason"),
    ]
    search_columns = ["status", "kind", "bill", "created_at"]
    formatters_columns = {"bill": words.bill_cell}
    quick_search_columns = ["number", "transaction_no"]
    quick_search_hint = _l("Payment, refund or transaction")
    order_columns = ["created_at", "here_fen", "there_fen"]
    base_order = ("created_at", "desc")
    method_permission_name = {"index": "read", "page": "read", "resolve": "resolve"}

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> Any:
        """Rows of the list lead to the page of the difference."""
        item = self.datamodel.get(pk, self._base_filters)
        if item is None:
            abort(404)
        return redirect(url_for("BillDifferenceView.page", difference_id=item.id))

    @expose(f"/{DIFFERENCE}")
    @has_access
    def page(self, difference_id: int) -> Any:
        """One difference with what it may mean, and where it is explained."""
        try:
            found = bills.get_difference(difference_id, actor=current_actor())
        except DomainError as error:
            return _gone(error)
        if wants_json():
            return json_answer(found)
        return self.render_template("pages/bill_difference.html", found=found, words=words)

    @expose(f"/{DIFFERENCE}/resolve", methods=["POST"])
    @has_access
    def resolve(self, difference_id: int) -> Any:
        """Explain a difference with a reason."""
        page = url_for("BillDifferenceView.page", difference_id=difference_id)
        try:
            reason = str(posted_values().get("reason") or "")
            found = bills.resolve_difference(
                difference_id, reason=reason, actor=current_actor(), now=utc_now()
            )
        except DomainError as error:
            return _refused(error, page)
        if wants_json():
            return json_answer(found)
        flash(_("The difference is resolved."), "success")
        return redirect(page)
