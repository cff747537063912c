"""The outbox, the templates, customers, and the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, flash, redirect, url_for
from flask_appbuilder import expose, has_access
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.domain.errors import DomainError
from app.domain.notices import NOTICES, VARIABLES
from app.models import AuditEntry, Customer, Notification, NotificationTemplate
from app.services import customers, notification_delivery
from app.views import audit_words
from app.views.answers import id_in, json_answer, posted_values, problem, refusal_text, wants_json
from app.views.base import KitInterface, LedgerView, ReferenceView, action
from app.views.kit.converter import required
from app.views.kit.current import current_actor
from app.views.shape_fields import MappingField, NamedField
from app.views.shapes import mapping_text

# Languages are called by their own names, whatever the page speaks.
LANGUAGE_NAMES = {"zh": "简体中文", "zh_Hant": "繁體中文", "en": "English"}
EVENT_NAMES = {event: notice.label for event, notice in NOTICES.items()}
TEMPLATE_FIELDS: dict[str, Any] = {
    "event": NamedField(_l("Event"), names=EVENT_NAMES, validators=[required()]),
    "language": NamedField(_l("Language"), names=LANGUAGE_NAMES, default="zh", validators=[required()]),
    "fields": MappingField(
        _l("Fields of the service"), description=_l("One field a line, as in: thing1 = {store}")
    ),
}


def event_text(event: str) -> str:
    """Return what the event of a message is called."""
    return str(EVENT_NAMES.get(event, event))


def language_text(language: str) -> str:
    """Return the own name of a language."""
    return LANGUAGE_NAMES.get(language, language)


class NotificationView(LedgerView):
    """Every message with its state; what failed for good can be sent again."""

    route_base = "/notifications"
    datamodel = KitInterface(Notification)
    list_title = _l("Messages")
    item_title = _l("Message")
    label_columns = {
        "event": _l("Event"),
        "recipient": _l("Recipient"),
        "channel": _l("Channel"),
        "order": _l("Order"),
        "title": _l("Title"),
        "body": _l("Text"),
        "attempt_count": _l("Tries"),
        "sent_at": _l("Sent"),
        "last_error": _l("Last error"),
    }
    list_columns = [
        "created_at",
        "event",
        "recipient",
        "channel",
        "order",
        "status",
        "attempt_count",
        "sent_at",
    ]
    show_columns = [*list_columns, "store", "title", "body", "last_error"]
    formatters_columns = {"event": event_text}
    search_columns = ["status", "channel", "recipient", "store", "created_at"]
    quick_search_columns = ["title"]
    quick_search_hint = _l("Title")
    order_columns = ["created_at", "sent_at"]
    base_order = ("created_at", "desc")

    @action("resend", _l("Send again"), _l("Send these messages again?"), "fa-paper-plane")
    def resend(self, items: Any) -> None:
        """Put messages that failed for good back into the outbox."""
        for row in items if isinstance(items, list) else [items]:
            notification_delivery.resend_notification(row.id, actor=current_actor(), now=utc_now())


class NotificationTemplateView(ReferenceView):
    """The words of the messages."""

    route_base = "/notification-templates"
    datamodel = KitInterface(NotificationTemplate)
    is_store_scoped = False
    list_title = _l("Message templates")
    item_title = _l("Message template")
    label_columns = {
        "event": _l("Event"),
        "recipient": _l("Recipient"),
        "channel": _l("Channel"),
        "language": _l("Language"),
        "title": _l("Title"),
        "body": _l("Text"),
        "provider_template": _l("Template of the service"),
        "fields": _l("Fields of the service"),
    }
    list_columns = ["event", "recipient", "channel", "language", "title", "is_active"]
    show_columns = [*list_columns, "body", "provider_template", "fields"]
    add_columns = show_columns
    edit_columns = show_columns
    search_columns = ["recipient", "channel", "is_active"]
    quick_search_columns = ["title"]
    quick_search_hint = _l("Title")
    order_columns = ["event", "language"]
    base_order = ("event", "asc")
    add_form_extra_fields = TEMPLATE_FIELDS
    edit_form_extra_fields = TEMPLATE_FIELDS
    formatters_columns = {"event": event_text, "language": language_text, "fields": mapping_text}
    description_columns = {
        "body": _l(
            "In braces, as in {store}: %(names)s", names=", ".join(f"{{{name}}}" for name in VARIABLES)
        ),
        "provider_template": _l("The number that the message service gave the approved template."),
    }
    constraint_messages = {
        "uq_notification_templates_event_recipient_channel_language": (
            "event",
            _l("There is a template for this already."),
        )
    }


class CustomerView(LedgerView):
    """Customers; phone numbers stay masked."""

    route_base = "/customers"
    datamodel = KitInterface(Customer)
    is_store_scoped = False
    list_title = _l("Customers")
    item_title = _l("Customer")
    label_columns = {
        "nickname": _l("Nickname"),
        "phone_masked": _l("Phone"),
        "language": _l("Language"),
        "is_blacklisted": _l("Blacklisted"),
        "blacklist_reason": _l("Reason"),
        "segment": _l("Segment"),
        "last_login_at": _l("Last login"),
    }
    list_columns = ["nickname", "phone_masked", "is_active", "is_blacklisted", "created_at", "last_login_at"]
    show_columns = [*list_columns, "segment", "language", "blacklist_reason"]
    export_columns = ["nickname", "segment", "is_active", "is_blacklisted", "created_at"]
    search_columns = ["nickname", "segment", "is_active", "is_blacklisted", "created_at"]
    formatters_columns = {"language": language_text}
    quick_search_columns = ["nickname"]
    quick_search_hint = _l("Nickname")
    order_columns = ["nickname", "created_at", "last_login_at"]
    base_order = ("created_at", "desc")
    show_template = "pages/customer.html"
    method_permission_name = {"set_blacklist": "blacklist", "set_segment": "blacklist"}

    def _get_show_widget(self, pk: Any, item: Any, show_fieldsets: Any = None) -> dict[str, Any]:
        widgets: dict[str, Any] = super()._get_show_widget(pk, item, show_fieldsets)
        return widgets | {"customer": item}

    @expose(f"/{id_in('customer_id')}/blacklist", methods=["POST"])
    @has_access
    def set_blacklist(self, customer_id: int) -> Any:
        """Bar a customer from booking, or let them book again (`is_blacklisted` empty); with a reason."""
        return self._changed(
            customer_id,
            lambda values: customers.set_blacklist(
                customer_id,
                is_blacklisted=str(values.get("is_blacklisted") or "").lower() in ("1", "true"),
                reason=str(values.get("reason") or ""),
                actor=current_actor(),
                now=utc_now(),
            ),
        )

    @expose(f"/{id_in('customer_id')}/segment", methods=["POST"])
    @has_access
    def set_segment(self, customer_id: int) -> Any:
        """Put a customer into a segment that discounts may name, or into none."""
        return self._changed(
            customer_id,
            lambda values: customers.set_segment(
                customer_id,
                segment=str(values.get("segment") or ""),
                actor=current_actor(),
                now=utc_now(),
            ),
        )

    def _changed(self, customer_id: int, change: Callable[[dict[str, Any]], None]) -> Any:
        try:
            change(posted_values())
        except DomainError as refusal:
            if wants_json() or refusal.status == 404:
                return problem(refusal) if wants_json() else abort(404)
            flash(refusal_text(refusal), "danger")
        else:
            if wants_json():
                return json_answer({})
            flash(_("Done."), "success")
        return redirect(url_for("CustomerView.show", pk=customer_id))


class AuditEntryView(LedgerView):
    """Who changed what."""

    route_base = "/audit"
    datamodel = KitInterface(AuditEntry)
    list_title = _l("Audit log")
    item_title = _l("Audit entry")
    label_columns = {
        "at": _l("When"),
        "actor_name": _l("Who"),
        "actor_kind": _l("Kind"),
        "action": _l("What"),
        "entity": _l("Thing"),
        "entity_id": _l("Number"),
        "change": _l("What changed"),
        "before": _l("Before"),
        "after": _l("After"),
    }
    list_columns = ["at", "actor_name", "action", "entity", "entity_id"]
    show_fieldsets = [
        (None, {"fields": ["at", "actor_name", "actor_kind", "action", "entity", "entity_id", "reason"]}),
        (_l("What changed"), {"fields": ["change"]}),
    ]
    show_columns: list[str] = []
    export_columns = [*list_columns, "actor_kind", "before", "after", "reason"]
    formatters_columns = {
        "actor_name": audit_words.actor_text,
        "actor_kind": audit_words.actor_text,
        "action": audit_words.action_text,
        "entity": audit_words.entity_text,
        "change": audit_words.change_table,
    }
    search_columns = ["entity_id", "actor_name", "at"]
    quick_search_columns = ["actor_name", "entity_id"]
    quick_search_hint = _l("Who, or number")
    order_columns = ["at"]
    base_order = ("at", "desc")
