"""The catalogue of notices: each event, whom it tells on which channels, and the variables of its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from flask_babel import lazy_gettext as _l

from app.domain.notice_texts import CUSTOMER_TEXTS, SHOP_TEXTS
from app.domain.states import NotificationChannel

Recipient = Literal["customer", "shop"]

LANGUAGES = ("zh", "zh_Hant", "en")
DEFAULT_LANGUAGE = "zh"

CHANNELS: dict[Recipient, tuple[NotificationChannel, ...]] = {
    "customer": (NotificationChannel.IN_APP, NotificationChannel.WECHAT),
    "shop": (NotificationChannel.IN_APP,),
}

# Everything that the words of a notice may mention as {name}; instants are written in the store's time.
VARIABLES: dict[str, Any] = {
    "order_no": _l("Order number"),
    "subject": _l("Store and room, or campaign"),
    "store": _l("Store"),
    "room": _l("Room"),
    "start": _l("Start"),
    "end": _l("End"),
    "amount": _l("Amount"),
    "expires": _l("Pay by"),
    "reason": _l("Reason"),
    "minutes": _l("Minutes left"),
    "campaign": _l("Campaign"),
    "code_tail": _l("End of the voucher code"),
    "valid_until": _l("Valid until"),
    "joined": _l("Members so far"),
    "size": _l("Team size"),
}

# What the fields of the message service's templates are filled with; the owner may map them otherwise.
_ORDER = {"character_string1": "{order_no}", "thing2": "{subject}", "amount3": "{amount}"}
_BOOKING = {"thing1": "{store}", "thing2": "{room}", "time3": "{start}", "time4": "{end}"}
_REASON = {"character_string1": "{order_no}", "thing2": "{subject}", "thing3": "{reason}"}
_TEAM = {"character_string1": "{order_no}", "thing2": "{campaign}", "thing3": "{joined}/{size}"}
_VOUCHER = {"thing1": "{campaign}", "character_string2": "{code_tail}", "time3": "{valid_until}"}
_REDEMPTION = {"thing1": "{campaign}", "character_string2": "{code_tail}", "thing3": "{subject}"}


@dataclass(frozen=True, slots=True)
class Notice:
    """One event: its label, the message service's fields, and whether the shop hears of unpaid orders too."""

    label: Any
    fields: Mapping[str, str]
    tells_shop_of_unpaid: bool = True


# Source: the notice columns of the state tables. Who is told follows from whose texts exist.
NOTICES: dict[str, Notice] = {
    "order_created": Notice(_l("Order created"), _ORDER),
    "order_paid": Notice(_l("Order paid"), _ORDER),
    "payment_failed": Notice(_l("Payment failed"), _ORDER),
    "booking_confirmed": Notice(_l("Booking confirmed"), _BOOKING),
    "booking_refused": Notice(_l("Booking refused"), _REASON),
    "booking_started": Notice(_l("Use started"), _BOOKING),
    "booking_completed": Notice(_l("Use completed"), _BOOKING),
    "starting_soon": Notice(_l("Starting soon"), _BOOKING),
    "ending_soon": Notice(_l("Ending soon"), _BOOKING),
    "change_held": Notice(_l("Change awaits payment"), _ORDER),
    "change_expired": Notice(_l("Change not paid in time"), _BOOKING),
    "booking_changed": Notice(_l("Booking changed"), _BOOKING),
    "booking_extended": Notice(_l("Booking extended"), _BOOKING),
    "overtime_started": Notice(_l("Overtime started"), _BOOKING),
    "overtime_charged": Notice(_l("Overtime charged"), _ORDER),
    "guests_follow": Notice(_l("Next guests follow"), _BOOKING),
    "no_show": Notice(_l("Nobody came"), _BOOKING),
    "order_cancelled": Notice(_l("Order cancelled"), _REASON, tells_shop_of_unpaid=False),
    "order_expired": Notice(_l("Order expired unpaid"), _ORDER),
    "refund_requested": Notice(_l("Refund requested"), _REASON),
    "refund_approved": Notice(_l("Refund approved"), _REASON),
    "refund_refused": Notice(_l("Refund refused"), _REASON),
    "refund_started": Notice(_l("Refund started"), _ORDER),
    "refund_done": Notice(_l("Refund done"), _ORDER),
    "refund_abnormal": Notice(_l("Refund needs attention"), _ORDER),
    "team_joined": Notice(_l("Team joined"), _TEAM),
    "team_complete": Notice(_l("Team complete"), _TEAM),
    "team_failed": Notice(_l("Team failed"), _TEAM),
    "voucher_issued": Notice(_l("Voucher issued"), _VOUCHER),
    "voucher_redeemed": Notice(_l("Voucher redeemed"), _REDEMPTION),
    "redemption_reversed": Notice(_l("Redemption reversed"), _REDEMPTION),
    "voucher_expired": Notice(_l("Voucher expired"), _VOUCHER),
}


class DefaultTemplate(NamedTuple):
    """The words of one event for one recipient on one channel in one language, as the product ships them."""

    event: str
    recipient: Recipient
    channel: NotificationChannel
    language: str
    title: str
    body: str
    fields: Mapping[str, str]


_TEXTS: dict[Recipient, Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "customer": CUSTOMER_TEXTS,
    "shop": SHOP_TEXTS,
}


def recipients_of(event: str) -> tuple[Recipient, ...]:
    """Return whom *event* tells; raises KeyError for an event that is not in the catalogue."""
    assert NOTICES[event]
    return tuple(recipient for recipient, texts in _TEXTS.items() if event in texts)


def default_words(event: str, recipient: Recipient, language: str) -> tuple[str, str]:
    """Return title and body in *language*, or in the default language where there is none."""
    texts = _TEXTS[recipient][event]
    return texts.get(language) or texts[DEFAULT_LANGUAGE]


def default_templates() -> Iterator[DefaultTemplate]:
    """Yield every template that the product ships: event × recipient × channel × language."""
    for event, notice in NOTICES.items():
        for recipient in recipients_of(event):
            for channel in CHANNELS[recipient]:
                fields = notice.fields if channel is NotificationChannel.WECHAT else {}
                for language in LANGUAGES:
                    words = default_words(event, recipient, language)
                    yield DefaultTemplate(event, recipient, channel, language, *words, fields)


_VARIABLE = re.compile(r"\{(\w+)\}")
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_NOTHING = "—"


def render(text: str, variables: Mapping[str, Any]) -> str:
    """Fill *text*; a variable without a value becomes empty. Nothing but names is understood in braces."""
    return _VARIABLE.sub(lambda match: str(variables.get(match.group(1), "")), text)


def render_field(key: str, text: str, variables: Mapping[str, Any]) -> str:
    """Fill one field of the message service, in the spelling that its type (`thing1`, `time2`, …) wants."""
    value = render(text, variables).strip()
    if key.startswith(("time", "date")):
        return _ISO_DATE.sub(lambda date: "{}年{}月{}日".format(*map(int, date.groups())), value)
    return value or (_NOTHING if key.startswith("thing") else "")
