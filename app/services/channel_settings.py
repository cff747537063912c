"""Payment channels in the back office: where they are on, their credentials, and asking whether these work.

What is set here is read from the database whenever a service is spoken with, so that it counts at once in
every process; the gateway made of the same credentials is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select

from app.domain import merchant_keys as keys
from app.domain.actor import Actor
from app.domain.channel_fields import FIELDS, Field, Form, read_fields
from app.domain.errors import Forbidden, InvalidField, InvalidTransition, NotFound, Unavailable
from app.domain.states import PaymentChannel
from app.extensions import keyring
from app.gateways.ports import GatewayRefused, GatewayUnavailable
from app.models import ChannelCredential, ChannelExclusion, Payment, Refund, Store
from app.services import channels, refunds
from app.services.audit import record_change
from app.services.numbers import new_number
from app.services.unit_of_work import session, transactional

# The channels of the back office, in the order shown, with a way of paying that stands for each.
CHANNELS: dict[str, PaymentChannel] = {
    channels.WECHAT_PAY: PaymentChannel.WECHAT_NATIVE,
    channels.ALIPAY: PaymentChannel.ALIPAY_QR,
    channels.UNIONPAY: PaymentChannel.UNIONPAY,
    PaymentChannel.COUNTER_CASH.value: PaymentChannel.COUNTER_CASH,
    PaymentChannel.COUNTER_POS.value: PaymentChannel.COUNTER_POS,
}
# What says whose account the money goes to.
MERCHANT_FIELDS = {channels.WECHAT_PAY: "mchid", channels.ALIPAY: "app_id", channels.UNIONPAY: "merchant_no"}
STILL_UNDER_WAY = _l(
    "Payments or refunds of this merchant are still under way. Please change it once they are done."
)
# What services answer to a wrong signature, and to a merchant or app that they do not know.
BAD_SIGNATURE = frozenset({"SIGN_ERROR", "isv.invalid-signature", "isv.missing-signature", "11"})
UNKNOWN_TO_IT = frozenset(
    {
        *("MCH_NOT_EXISTS", "APPID_MCHID_NOT_MATCH", "NO_AUTH", "NOAUTH"),
        *("isv.invalid-app-id", "isv.missing-app-id"),
    }
)


def list_channels(*, actor: Actor) -> list[dict[str, Any]]:
    """Return every channel: `{name, is_online, is_set_up, is_on, off_in, check}`.

    `off_in` names the stores in the actor's scope where it is off.
    """
    rows = {row.channel: row for row in session().scalars(select(ChannelCredential))}
    stores = _stores(actor)
    return [_summary(name, rows.get(name), stores) for name in CHANNELS]


def _summary(name: str, row: ChannelCredential | None, stores: list[Store]) -> dict[str, Any]:
    off = _off_ids(name)
    return {
        "name": name,
        "is_online": name in FIELDS,
        "is_set_up": name not in FIELDS or bool(row and row.settings),
        "is_on": row.is_enabled if row else name not in FIELDS,
        "off_in": [store.name for store in stores if store.id in off],
        "check": _check_of(row),
    }


def _stores(actor: Actor) -> list[Store]:
    query = select(Store).order_by(Store.name)
    if not actor.scope.is_all:
        query = query.where(Store.id.in_(actor.scope.store_ids))
    return list(session().scalars(query))


def _off_ids(name: str) -> set[int]:
    return set(
        session().scalars(select(ChannelExclusion.store_id).where(ChannelExclusion.channel == name)).all()
    )


def _check_of(row: ChannelCredential | None) -> dict[str, Any] | None:
    if row is None or not row.check_code:
        return None
    return {
        "code": row.check_code,
        "detail": row.check_detail,
        "at": row.checked_at,
        "by": row.checked_by,
    }


def describe_channel(name: str, *, actor: Actor) -> dict[str, Any]:
    """Return `list_channels`' facts of one channel with `stores` and `fields`; raises NotFound.

    `stores: {id, name, is_on}`; `fields: {field, value, shown, is_set, at, by}`: `value` is what the form
    repeats and `shown` what people may know: of a secret never more than a fingerprint.
    """
    row, stores = _find(name), _stores(actor)
    off = _off_ids(name)
    return _summary(name, row, stores) | {
        "stores": [{"id": store.id, "name": store.name, "is_on": store.id not in off} for store in stores],
        "set_at": row and row.set_at,
        "fields": [_describe_field(field, row) for field in FIELDS.get(name, ())],
    }


def _describe_field(field: Field, row: ChannelCredential | None) -> dict[str, Any]:
    mark = (row.marks if row else {}).get(field.name, {})
    kept = _kept(row).get(field.name, "")
    return {
        "field": field,
        "value": "" if field.is_secret else kept,
        "shown": show_field(field, kept, _kept(row)),
        "is_set": bool(kept),
        "at": datetime.fromisoformat(mark["at"]) if mark else None,
        "by": mark.get("by", ""),
    }


def show_field(field: Field, text: str, others: Mapping[str, str]) -> str:
    """Return what people may know of a credential: itself, or a fingerprint of a key or secret."""
    if not text or field.form is Form.TEXT:
        return text
    if field.form is Form.SECRET:
        return keyring.keyed_hash(f"credential:{field.name}", text)[:12]
    try:
        return _fingerprint(field, text, others)
    except keys.KeyUnreadable:
        return "?"


def _fingerprint(field: Field, text: str, others: Mapping[str, str]) -> str:
    if field.form is Form.PRIVATE_KEY:
        return keys.fingerprint(keys.read_private_key(text))
    if field.form is Form.PUBLIC_KEY:
        return keys.fingerprint(keys.read_public_key(text))
    if field.form is Form.FILE:
        certificate = keys.read_pfx(text, others.get("pfx_password", ""))[1]
    else:
        certificate = keys.read_certificate(text)
    return f"{keys.fingerprint(certificate)} ({certificate.not_valid_after_utc:%Y-%m-%d})"


def _find(name: str) -> ChannelCredential | None:
    if name not in CHANNELS:
        raise NotFound()
    return session().scalar(select(ChannelCredential).where(ChannelCredential.channel == name))


def _kept(row: ChannelCredential | None) -> dict[str, str]:
    return {**row.settings, **row.secrets} if row else {}


@transactional
def switch_channel(
    name: str, *, is_on: bool, store_id: int | None = None, actor: Actor, now: datetime
) -> None:
    """Switch a channel on or off, everywhere or in one store; off means that nobody is offered it any more.

    Raises NotFound for an unknown channel or a store out of scope, Forbidden for everywhere without the scope
    of every store, InvalidTransition for a service that is not set up.
    """
    row = _find(name)
    if store_id is None:
        if not actor.scope.is_all:
            raise Forbidden()
        was_on = _switch_everywhere(name, row, is_on, now)
    else:
        if not actor.scope.allows(store_id) or session().get(Store, store_id) is None:
            raise NotFound()
        was_on = _switch_in(name, store_id, is_on)
    if was_on != is_on:
        record_change(
            actor=actor,
            action="channel.switch",
            entity="channel",
            entity_id=name,
            store_id=store_id,
            before={"is_on": was_on},
            after={"is_on": is_on},
            now=now,
        )


def _switch_everywhere(name: str, row: ChannelCredential | None, is_on: bool, now: datetime) -> bool:
    if row is None:
        if name in FIELDS:
            raise InvalidTransition(_l("Please set it up first."))
        row = ChannelCredential(channel=name, created_at=now, settings={}, secrets={}, is_enabled=True)
        session().add(row)
    was_on, row.is_enabled = row.is_enabled, is_on
    return was_on


def _switch_in(name: str, store_id: int, is_on: bool) -> bool:
    off = (ChannelExclusion.channel == name, ChannelExclusion.store_id == store_id)
    was_on = session().scalar(select(ChannelExclusion.id).where(*off)) is None
    if is_on:
        session().execute(delete(ChannelExclusion).where(*off))
    elif was_on:
        session().add(ChannelExclusion(channel=name, store_id=store_id))
        session().flush()
    return was_on


@transactional
def set_credentials(name: str, values: Mapping[str, str], *, actor: Actor, now: datetime) -> None:
    """Store what somebody typed: settings as given, secrets only where given; the rest stays.

    Raises NotFound for a channel without credentials, Forbidden without the scope of every store,
    InvalidField with what is wrong by field. The audit log gets settings and fingerprints, never a secret.
    """
    if not actor.scope.is_all:
        raise Forbidden()
    row = _find(name)
    if name not in FIELDS:
        raise NotFound()
    before = _kept(row)
    after = read_fields(name, values, before, now=now)
    if row is not None and after == before:
        return
    _check_merchant(name, before, after)
    if row is None:
        row = ChannelCredential(channel=name, created_at=now)
        session().add(row)
    secrets = {field.name for field in FIELDS[name] if field.is_secret}
    changed = [key for key in after if after[key] != before.get(key)]
    row.marks = (row.marks or {}) | {key: {"at": now.isoformat(), "by": actor.name} for key in changed}
    row.settings = {key: text for key, text in after.items() if key not in secrets}
    row.secrets = {key: text for key, text in after.items() if key in secrets}
    row.set_at = now
    # The result of another key's test says nothing about this one.
    row.check_code, row.check_detail, row.checked_at, row.checked_by = "", "", None, ""
    session().flush()
    record_change(
        actor=actor,
        action="channel.set_credentials",
        entity="channel",
        entity_id=name,
        before=_for_the_log(name, before),
        after=_for_the_log(name, after),
        now=now,
    )


def _check_merchant(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Another merchant knows nothing of what is under way with this one, which would be lost from sight."""
    field = MERCHANT_FIELDS.get(name)
    if field is None or before.get(field) in (None, after[field]):
        return
    ways = [channel for channel in PaymentChannel if channels.switch_name(channel) == name]
    paying = select(Payment.id).where(Payment.channel.in_(ways), Payment.next_query_at.is_not(None))
    refunding = (
        select(Refund.id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.channel.in_(ways), Refund.status.in_(refunds.OPEN))
    )
    if any(session().scalar(query.limit(1)) is not None for query in (paying, refunding)):
        raise InvalidField.of(field, STILL_UNDER_WAY)


def _for_the_log(name: str, known: Mapping[str, str]) -> dict[str, str]:
    return {
        field.name: show_field(field, known[field.name], known)
        for field in FIELDS[name]
        if field.name in known
    }


def try_channel(name: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Ask the service after a payment that does not exist, and keep what came back: `{code, detail}`.

    `ok` is the service's own word that there is no such payment; else `signature`, `identity`, `keys`,
    `unverified`, `refused` or `no_answer`. Raises NotFound, Forbidden without the scope of every store,
    Unavailable for a service that is not set up.
    """
    if not actor.scope.is_all:
        raise Forbidden()
    if _find(name) is None or name not in FIELDS:
        raise NotFound()
    code, detail = _ask(CHANNELS[name], now)
    _keep(name, code, detail, actor=actor, now=now)
    return {"code": code, "detail": detail}


def _ask(channel: PaymentChannel, now: datetime) -> tuple[str, str]:
    try:
        gateway = channels.payment_channel(channel)
        # No transaction is open while the service thinks.
        session().rollback()
        gateway.query_payment(new_number("T", now), now)
    except Unavailable:
        return "keys", ""
    except GatewayRefused as refusal:
        return _judge(refusal), str(refusal)
    except GatewayUnavailable as error:
        is_unverified = "signature" in str(error) or "cannot be trusted" in str(error)
        return "unverified" if is_unverified else "no_answer", str(error)
    return "ok", ""


def _judge(refusal: GatewayRefused) -> str:
    if refusal.code in BAD_SIGNATURE:
        return "signature"
    return "identity" if refusal.code in UNKNOWN_TO_IT else "refused"


@transactional
def _keep(name: str, code: str, detail: str, *, actor: Actor, now: datetime) -> None:
    row = _find(name)
    assert row is not None
    row.check_code, row.check_detail = code, detail[:200]
    row.checked_at, row.checked_by = now, actor.name
    record_change(
        actor=actor,
        action="channel.test",
        entity="channel",
        entity_id=name,
        after={"result": code},
        now=now,
    )
