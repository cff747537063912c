"""Vouchers and redemptions: ledgers, and the desk where vouchers become rooms."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, request, session, url_for
from flask_appbuilder import BaseView, expose, has_access
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup
from werkzeug.wrappers import Response

from app.domain.clock import utc_now
from app.domain.errors import DomainError
from app.domain.states import RedemptionMethod
from app.models import Redemption, RedemptionAttempt, Voucher
from app.services import board, redemption_search, redemptions
from app.views.answers import (
    id_in,
    json_answer,
    posted_values,
    problem,
    refusal_text,
    wants_json,
    whole_number,
)
from app.views.base import KitInterface, LedgerView
from app.views.kit.current import current_actor
from app.views.kit.values import format_instant
from app.views.shapes import terms_text

CODE_SHAPE = "XXXX-XXXX-XXXX-XXXX-XXXX"
STEPS: dict[str, Any] = {"preview": _l("Looked at"), "confirm": _l("Redeemed")}
BADGE = Markup('<span class="badge bg-{}-lt">{}</span>')


def _refusals(kind: type[DomainError]) -> dict[str, Any]:
    """Return the message of each refusal by its code."""
    found: dict[str, Any] = {kind.code: kind.default_message}
    for child in kind.__subclasses__():
        found = _refusals(child) | found
    return found


REFUSALS = _refusals(DomainError)


def step_text(step: str) -> str:
    """Return what was tried at the desk."""
    return str(STEPS.get(step, step))


def method_text(method: str) -> str:
    """Return how the voucher came to the desk."""
    return str(RedemptionMethod.of(method).label)


def outcome_badge(outcome: str) -> Any:
    """Return how a try ended: in order, or what refused it."""
    if outcome == "ok":
        return BADGE.format("green", _("In order"))
    return BADGE.format("red", REFUSALS.get(outcome, outcome))


class VoucherView(LedgerView):
    """Vouchers with their state; a code is never shown whole."""

    route_base = "/vouchers"
    datamodel = KitInterface(Voucher)
    list_title = _l("Vouchers")
    item_title = _l("Voucher")
    label_columns = {
        "code_tail": _l("Code ends with"),
        "campaign": _l("Group-buy campaign"),
        "customer": _l("Customer"),
        "order": _l("Order"),
        "price_fen": _l("Price"),
        "valid_from_at": _l("Valid from"),
        "valid_until_at": _l("Valid until"),
        "issued_at": _l("Issued"),
        "terms": _l("Terms"),
    }
    list_columns = ["code_tail", "campaign", "customer", "status", "price_fen", "issued_at", "valid_until_at"]
    show_columns = [*list_columns, "order", "valid_from_at", "terms"]
    formatters_columns = {"terms": terms_text}
    search_columns = ["status", "campaign", "issued_at"]
    quick_search_columns = ["code_tail"]
    quick_search_hint = _l("Last signs of the code")
    order_columns = ["issued_at", "valid_until_at", "price_fen"]
    base_order = ("issued_at", "desc")


def is_reversible(pk: str) -> bool:
    """Tell whether the redemption of a page can still be taken back."""
    return redemptions.is_reversible(int(pk), now=utc_now())


class RedemptionView(LedgerView):
    """Who redeemed what, when and into which room; reversals are rows of their own."""

    route_base = "/redemptions"
    datamodel = KitInterface(Redemption)
    list_title = _l("Redemption records")
    item_title = _l("Redemption")
    label_columns = {
        "voucher": _l("Voucher"),
        "staff_name": _l("Staff member"),
        "method": _l("How"),
        "redeemed_at": _l("When"),
        "reverses_id": _l("Reverses number"),
    }
    list_columns = ["id", "redeemed_at", "store", "room", "voucher", "method", "staff_name", "reverses_id"]
    show_columns = [*list_columns, "reason"]
    show_template = "pages/redemption_record.html"
    extra_args = {"is_reversible": is_reversible}
    search_columns = ["store", "room", "method", "redeemed_at"]
    quick_search_columns = ["staff_name"]
    quick_search_hint = _l("Staff member")
    order_columns = ["redeemed_at"]
    base_order = ("redeemed_at", "desc")


class RedemptionAttemptView(LedgerView):
    """Every try at the desk, failures too."""

    route_base = "/redemption-attempts"
    datamodel = KitInterface(RedemptionAttempt)
    list_title = _l("Redemption attempts")
    item_title = _l("Redemption attempt")
    label_columns = {
        "at": _l("When"),
        "staff_name": _l("Staff member"),
        "step": _l("Step"),
        "method": _l("How"),
        "outcome": _l("Outcome"),
        "address": _l("Address"),
        "code_tail": _l("Code ends with"),
    }
    list_columns = ["at", "staff_name", "step", "method", "outcome", "code_tail", "address"]
    show_columns = list_columns
    formatters_columns = {"step": step_text, "method": method_text, "outcome": outcome_badge}
    search_columns = ["outcome", "step", "at"]
    quick_search_columns = ["staff_name", "code_tail"]
    quick_search_hint = _l("Staff member or end of the code")
    order_columns = ["at"]
    base_order = ("at", "desc")


def redeemed_text(facts: dict[str, Any]) -> str:
    """Return who redeemed a voucher where and when; nothing when nobody did."""
    if "redeemed_at" not in facts:
        return ""
    at = format_instant(datetime.fromisoformat(facts["redeemed_at"]))
    return " · ".join([at, f"{facts['store']} {facts['room']}", facts["redeemed_by"] or _("Customer")])


class RedemptionDeskView(BaseView):
    """Type or scan a code or pick a voucher from a customer's orders; look, then confirm."""

    route_base = "/redemption"
    default_view = "desk"
    class_permission_name = "RedemptionDeskView"
    method_permission_name = {
        "desk": "read",
        "preview": "write",
        "confirm": "write",
        "done": "read",
        "reverse": "reverse",
    }

    @expose("/", methods=["GET"])
    @has_access
    def desk(self) -> Any:
        """The form; `?q=` searches the vouchers of an order number or phone."""
        return self._page(200)

    def _page(self, status: int, **values: Any) -> Any:
        actor = current_actor()
        stores = board.list_stores(actor=actor)
        text = request.args.get("q", "").replace("\x00", "").strip()[:64]
        found = redemption_search.search_vouchers(text, actor=actor) if text else []
        store_id = str(request.values.get("store_id") or (stores[0][0] if stores else ""))
        page = self.render_template(
            "pages/redemption.html",
            stores=stores,
            store_id=store_id,
            q=text,
            found=found,
            code=request.form.get("code", ""),
            code_shape=CODE_SHAPE,
            **{"preview": None, "error": None} | values,
        )
        return page, status

    @expose("/preview", methods=["POST"])
    @has_access
    def preview(self) -> Any:
        """What the voucher is good for here and now."""
        try:
            answer = self._preview()
        except DomainError as error:
            return problem(error) if wants_json() else self._page(error.status, error=refusal_text(error))
        if wants_json():
            return json_answer(answer)
        for reason in answer["reasons"]:
            reason["facts"] = redeemed_text(reason["data"] or {})
        return self._page(200, preview=answer)

    def _preview(self) -> dict[str, Any]:
        values = posted_values()
        voucher_id = None
        if values.get("voucher_id"):
            voucher_id = whole_number(values, "voucher_id", _l("Please pick a voucher."))
        code = str(values.get("code") or "").strip()[:300]
        return redemptions.preview(
            whole_number(values, "store_id", _l("Please choose a store.")),
            code=code or None,
            voucher_id=voucher_id,
            actor=current_actor(),
            address=request.remote_addr or "",
            now=utc_now(),
        )

    @expose("/confirm", methods=["POST"])
    @has_access
    def confirm(self) -> Any:
        """Redeem into the chosen room; the same nonce again gets the same answer."""
        try:
            values = posted_values()
            answer = redemptions.confirm(
                str(values.get("nonce") or ""),
                whole_number(values, "room_id", _l("Please choose a room.")),
                actor=current_actor(),
                address=request.remote_addr or "",
                now=utc_now(),
            )
        except DomainError as error:
            return problem(error) if wants_json() else self._page(error.status, error=refusal_text(error))
        if wants_json():
            return json_answer(answer)
        # Shown after a redirect, so that reloading the page does not ask to send the form again.
        session["redeemed"] = answer
        return redirect(url_for("RedemptionDeskView.done"))

    @expose("/done", methods=["GET"])
    @has_access
    def done(self) -> Any:
        """Which room, until when, and how to get in."""
        answer = session.pop("redeemed", None)
        if answer is None:
            return redirect(url_for("RedemptionDeskView.desk"))
        end_at = datetime.fromisoformat(answer["end_at"])
        return self.render_template("pages/redeemed.html", answer=answer, end_at=end_at)

    @expose(f"/{id_in('redemption_id')}/reverse", methods=["POST"])
    @has_access
    def reverse(self, redemption_id: int) -> Response:
        """Take a redemption back, with a reason."""
        try:
            reversal_id = redemptions.reverse(
                redemption_id,
                reason=str(posted_values().get("reason") or ""),
                actor=current_actor(),
                now=utc_now(),
            )
        except DomainError as error:
            return self._not_reversed(error)
        if wants_json():
            return json_answer({"redemption_id": reversal_id})
        flash(_("The redemption is reversed."), "success")
        return redirect(url_for("RedemptionView.list"))

    def _not_reversed(self, error: DomainError) -> Response:
        if wants_json():
            return problem(error)
        if error.status == 404:
            abort(404)
        flash(refusal_text(error), "danger")
        return redirect(url_for("RedemptionView.list"))
