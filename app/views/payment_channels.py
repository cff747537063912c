"""Payment channels in the back office: where each is on, its credentials, and a test of them."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from flask import abort, flash, redirect, request, url_for
from flask_appbuilder import BaseView, expose, has_access
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from app.domain.channel_fields import FIELDS, MOST_FILE, Form
from app.domain.clock import utc_now
from app.domain.errors import DomainError, InvalidField
from app.domain.states import LabelledEnum, PaymentChannel
from app.services import channel_settings
from app.views.answers import MOST_ID, posted_values, refusal_text
from app.views.kit.current import current_actor


class Verdict(NamedTuple):
    """What the result of a test is called, and its colour."""

    label: Any
    colour: str


VERDICTS: dict[str, Verdict] = {
    "ok": Verdict(_l("The service answered: these credentials work."), "green"),
    "signature": Verdict(
        _l("The service refused our signature: the private key or the certificate does not fit."), "red"
    ),
    "identity": Verdict(_l("The service does not know this merchant or app."), "red"),
    "keys": Verdict(_l("A key or certificate cannot be used."), "red"),
    "unverified": Verdict(
        _l("The answer is not signed by the service that was expected: its key or certificate does not fit."),
        "red",
    ),
    "refused": Verdict(_l("The service refused."), "red"),
    "no_answer": Verdict(_l("The service gave no usable answer."), "orange"),
}
# Icons and labels by the name of a channel.
LABELS: dict[str, LabelledEnum] = {
    "wechat_pay": PaymentChannel.WECHAT_JSAPI,
    "alipay": PaymentChannel.ALIPAY,
    "unionpay": PaymentChannel.UNIONPAY,
    "counter_cash": PaymentChannel.COUNTER_CASH,
    "counter_pos": PaymentChannel.COUNTER_POS,
}


class PaymentChannelView(BaseView):
    """How money comes in, everywhere and in each store."""

    route_base = "/payment-channels"
    default_view = "index"
    class_permission_name = "PaymentChannelView"
    method_permission_name = {
        "index": "read",
        "page": "read",
        "switch": "switch",
        "save": "write",
        "test": "write",
    }

    @expose("/")
    @has_access
    def index(self) -> Any:
        """Every channel with what it does."""
        return self.render_template(
            "pages/payment_channels.html",
            channels=channel_settings.list_channels(actor=current_actor()),
            labels=LABELS,
            verdicts=VERDICTS,
        )

    @expose("/<string:name>", methods=["GET"])
    @has_access
    def page(self, name: str) -> Any:
        """One channel."""
        return self._page(name, {}, {})

    @expose("/<string:name>/switch", methods=["POST"])
    @has_access
    def switch(self, name: str) -> Response:
        """Switch the channel on or off (`is_on` empty), everywhere or in the store `store_id`."""
        values = posted_values()

        def act() -> str:
            store_id = _store_id(values)
            is_on = str(values.get("is_on") or "") == "1"
            channel_settings.switch_channel(
                name, is_on=is_on, store_id=store_id, actor=current_actor(), now=utc_now()
            )
            return str(_("Switched on.") if is_on else _("Switched off. Nobody is offered it any more."))

        return self._done(name, act)

    @expose("/<string:name>/test", methods=["POST"])
    @has_access
    def test(self, name: str) -> Response:
        """Ask the service after a payment that does not exist."""

        def act() -> None:
            result = channel_settings.try_channel(name, actor=current_actor(), now=utc_now())
            verdict = VERDICTS[result["code"]]
            flash(str(verdict.label), {"green": "success", "red": "danger"}.get(verdict.colour, "warning"))

        return self._done(name, act)

    @expose("/<string:name>/credentials", methods=["POST"])
    @has_access
    def save(self, name: str) -> Any:
        """Store new credentials; secrets that are left empty stay as they are."""
        values = posted_values()
        try:
            read = values | _uploaded(name)
            channel_settings.set_credentials(name, read, actor=current_actor(), now=utc_now())
        except InvalidField as refusal:
            return self._page(name, values, refusal.errors or {}), refusal.status
        except DomainError as refusal:
            return self._refused(name, refusal)
        flash(_("Saved. Please test them now."), "success")
        return redirect(url_for("PaymentChannelView.page", name=name))

    def _done(self, name: str, act: Any) -> Response:
        try:
            told = act()
        except DomainError as refusal:
            return self._refused(name, refusal)
        if told:
            flash(told, "success")
        return redirect(url_for("PaymentChannelView.page", name=name))

    def _refused(self, name: str, refusal: DomainError) -> Response:
        if refusal.status in (403, 404):
            abort(refusal.status)
        flash(refusal_text(refusal), "danger")
        return redirect(url_for("PaymentChannelView.page", name=name))

    def _page(self, name: str, values: dict[str, Any], errors: dict[str, list[Any]]) -> Any:
        try:
            channel = channel_settings.describe_channel(name, actor=current_actor())
        except DomainError as error:
            abort(error.status)
        for each in channel["fields"]:
            field = each["field"]
            # What was typed comes back with its errors, but never a secret.
            if values and not field.is_secret:
                each["value"] = values.get(field.name, "")
            each["errors"] = errors.get(field.name, [])
        return self.render_template(
            "pages/payment_channel.html",
            channel=channel,
            label=LABELS[name],
            verdicts=VERDICTS,
            has_errors=bool(errors),
            is_everywhere=current_actor().scope.is_all,
        )


def _store_id(values: dict[str, Any]) -> int | None:
    text = str(values.get("store_id") or "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and int(text) <= MOST_ID):
        raise InvalidField.of("store_id", _l("Please choose a store."))
    return int(text)


def _uploaded(name: str) -> dict[str, str]:
    """Return the files of the form in Base64; raises InvalidField for one that is too large."""
    found = {}
    for field in FIELDS.get(name, ()):
        upload = request.files.get(field.name) if field.form is Form.FILE else None
        if upload is None or not upload.filename:
            continue
        content = upload.stream.read(MOST_FILE)
        if len(content) * 4 // 3 >= MOST_FILE:
            raise InvalidField.of(field.name, _l("This is too long."))
        found[field.name] = base64.b64encode(content).decode()
    return found
