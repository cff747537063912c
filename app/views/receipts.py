"""The receipt of an order, for the printer at the counter."""

from __future__ import annotations

from typing import Any

from flask import abort
from flask_appbuilder import BaseView, expose, has_access
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.errors import DomainError
from app.services import receipts
from app.views import order_words as words
from app.views.answers import json_answer, problem, wants_json
from app.views.kit.current import current_actor


class ReceiptView(BaseView):
    """Below the address of the order, with a permission of its own."""

    route_base = "/orders"
    default_view = "page"
    class_permission_name = "ReceiptView"
    # What the screen is called where roles are edited.
    list_title = _l("Receipt")
    method_permission_name = {"page": "read"}

    @expose("/<string:no>/receipt")
    @has_access
    def page(self, no: str) -> Any:
        """Lines, fees, payments and refunds on one narrow sheet."""
        try:
            receipt = receipts.describe_receipt(no, actor=current_actor(), now=utc_now())
        except DomainError as error:
            return problem(error) if wants_json() else abort(error.status)
        if wants_json():
            return json_answer(receipt)
        return self.render_template("pages/receipt.html", receipt=receipt, words=words)
