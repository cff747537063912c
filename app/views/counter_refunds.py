"""Refunds that somebody hands out at the counter: the work list, and recording that it was done."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, url_for
from flask_appbuilder import BaseView, expose, has_access
from flask_babel import gettext as _

from app.domain.clock import utc_now
from app.domain.events import reason_label
from app.domain.money import format_fen
from app.services import counter
from app.views.answers import json_answer, posted_values, told_refusal, wants_json
from app.views.kit.arguments import local_path
from app.views.kit.current import current_actor
from app.views.once import answer_once


class CounterRefundView(BaseView):
    """Money that was paid over the counter and waits to go back over it."""

    route_base = "/counter-refunds"
    default_view = "index"
    class_permission_name = "CounterRefundView"
    method_permission_name = {"index": "read", "hand_out": "write"}

    @expose("/")
    @has_access
    def index(self) -> Any:
        """What waits, the oldest first."""
        tasks = counter.list_refunds(actor=current_actor())
        if wants_json():
            return json_answer({"items": tasks, "next_cursor": None})
        return self.render_template("pages/counter_refunds.html", tasks=tasks, reason_label=reason_label)

    @expose("/<string:refund_no>/hand-out", methods=["POST"])
    @has_access
    def hand_out(self, refund_no: str) -> Any:
        """Record that cash was handed out, or the slip of the card terminal."""
        values = posted_values()

        def act() -> dict[str, Any]:
            return counter.hand_out_refund(refund_no, values, actor=current_actor(), now=utc_now())

        answer = answer_once(values, act)
        if wants_json():
            return answer
        if answer.status_code == 404:
            abort(404)
        back = local_path(values.get("next")) or url_for("CounterRefundView.index")
        if answer.status_code >= 400:
            flash(told_refusal(answer.json), "danger")
        else:
            flash(_("%(amount)s handed out.", amount=format_fen(answer.json["amount_fen"])), "success")
        return redirect(back)
