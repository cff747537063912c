"""Quotes, bookings, orders and payments."""

from __future__ import annotations

from marshmallow import fields

from app.api.schemas.base import AnswerSchema, AnyId, Choice, Id, Instant, RequestSchema, Text, fen
from app.api.schemas.common import BriefSchema, FeeStepSchema, LineSchema, PageQuery, words
from app.api.schemas.stores import PolicySchema
from app.domain.states import ChangeKind, OrderKind, OrderStatus, PaymentStatus, RefundStatus, VoucherStatus

CHANNELS = ["wechat_jsapi", "wechat_native", "alipay", "alipay_qr", "unionpay"]


class QuoteRequestSchema(RequestSchema):
    """A room from a start to an end, or for a session of the start's day."""

    room_id = AnyId(required=True)
    start_at = Instant(required=True, metadata={"example": "2026-03-04T18:00:00+08:00"})
    end_at = Instant(load_default=None, allow_none=True, metadata={"example": "2026-03-04T21:00:00+08:00"})
    session_id = AnyId(load_default=None, allow_none=True)
    voucher_code = Text(at_least=1, at_most=64, load_default=None, allow_none=True)


class BookingRequestSchema(QuoteRequestSchema):
    """A quote that the customer accepts."""

    note = Text(at_most=200, load_default="", allow_none=True)


class QuoteSchema(AnswerSchema):
    """What it costs, line by line; the lines sum to `total_fen`."""

    lines = fields.List(fields.Nested(LineSchema))
    base_fen = fen()
    extra_fen = fen()
    discount_fen = fen()
    total_fen = fen()
    policy = fields.Nested(PolicySchema)
    warnings = fields.List(fields.String())


class PaymentItemSchema(AnswerSchema):
    """One attempt to pay."""

    payment_no = fields.String()
    channel = fields.String()
    status = fields.String(metadata={"enum": words(PaymentStatus)})
    amount_fen = fen()
    paid_at = Instant(allow_none=True)


class RefundItemSchema(AnswerSchema):
    """Money on its way back."""

    refund_no = fields.String()
    status = fields.String(metadata={"enum": words(RefundStatus)})
    amount_fen = fen()
    route = fields.String()


class VoucherItemSchema(AnswerSchema):
    """A voucher that an order bought or uses."""

    code = fields.String()
    status = fields.String(metadata={"enum": words(VoucherStatus)})
    valid_until_at = Instant()


class EventSchema(AnswerSchema):
    """One thing that happened."""

    at = Instant()
    actor = fields.String(metadata={"enum": ["customer", "staff", "system", "payment"]})
    event = fields.String()
    text = fields.String()


class ActionSchema(AnswerSchema):
    """Something that the customer may do next, or why not."""

    name = fields.String()
    allowed = fields.Boolean()
    reason = fields.String(allow_none=True)


class PendingChangeSchema(AnswerSchema):
    """What the order becomes once `due_fen` is paid; until then the booking stays as it is."""

    kind = fields.String(metadata={"enum": words(ChangeKind)})
    room = fields.Nested(BriefSchema)
    start_at = Instant()
    end_at = Instant()
    total_fen = fen()
    fee_fen = fen()
    difference_fen = fen()
    expires_at = Instant()


class OvertimeSchema(AnswerSchema):
    """Guests who stay beyond their booked end: what would be added if they left now."""

    from_at = Instant()
    minutes = fields.Integer()
    amount_fen = fen()


class AccessSchema(AnswerSchema):
    """How the door opens."""

    kind = fields.String(metadata={"example": "code"})
    code = fields.String(allow_none=True)
    expires_at = Instant(allow_none=True)


class OrderSchema(AnswerSchema):
    """An order with everything that its owner is shown."""

    no = fields.String()
    kind = fields.String(metadata={"enum": words(OrderKind)})
    status = fields.String(metadata={"enum": words(OrderStatus)})
    status_label = fields.String()
    store = fields.Nested(BriefSchema, allow_none=True)
    room = fields.Nested(BriefSchema, allow_none=True)
    start_at = Instant(allow_none=True)
    end_at = Instant(allow_none=True)
    campaign_id = Id(allow_none=True)
    team_id = Id(allow_none=True)
    quantity = fields.Integer()
    lines = fields.List(fields.Nested(LineSchema))
    base_fen = fen()
    extra_fen = fen()
    discount_fen = fen()
    total_fen = fen()
    paid_fen = fen()
    refunded_fen = fen()
    cancel_fee_fen = fen()
    due_fen = fen()
    note = fields.String()
    created_at = Instant()
    expires_at = Instant(allow_none=True)
    policy = fields.Nested(PolicySchema, allow_none=True)
    pending_change = fields.Nested(PendingChangeSchema, allow_none=True)
    overtime = fields.Nested(OvertimeSchema, allow_none=True)
    access = fields.Nested(AccessSchema, allow_none=True)
    payments = fields.List(fields.Nested(PaymentItemSchema))
    refunds = fields.List(fields.Nested(RefundItemSchema))
    vouchers = fields.List(fields.Nested(VoucherItemSchema))
    timeline = fields.List(fields.Nested(EventSchema))
    actions = fields.List(fields.Nested(ActionSchema))


class OrdersQuery(PageQuery):
    """Which of one's orders."""

    status = Choice(words(OrderStatus), load_default=None)
    kind = Choice(words(OrderKind), load_default=None)


class PaymentRequestSchema(RequestSchema):
    """How to pay."""

    channel = Choice(CHANNELS, required=True)


class PaymentStartSchema(AnswerSchema):
    """A payment that the client can now collect; `params` is what its SDK needs."""

    payment_no = fields.String()
    channel = fields.String(metadata={"enum": CHANNELS})
    params = fields.Dict(keys=fields.String(), values=fields.String())


class CancelRequestSchema(RequestSchema):
    """Why the customer leaves, if they say so."""

    reason = Text(at_most=200, load_default="", allow_none=True)


class CancelPreviewSchema(AnswerSchema):
    """What leaving now costs, and by which step of the frozen policy."""

    fee_fen = fen()
    refund_fen = fen()
    step = fields.Nested(FeeStepSchema, allow_none=True)


class ChangeRequestSchema(RequestSchema):
    """What the booking shall become; what is left out stays, a start alone keeps the length."""

    room_id = AnyId(load_default=None, allow_none=True)
    start_at = Instant(load_default=None, allow_none=True, metadata={"example": "2026-03-04T18:00:00+08:00"})
    end_at = Instant(load_default=None, allow_none=True, metadata={"example": "2026-03-04T21:00:00+08:00"})


class ExtendRequestSchema(RequestSchema):
    """Until when the customer wants to stay."""

    end_at = Instant(required=True, metadata={"example": "2026-03-04T22:00:00+08:00"})


class ChangePreviewSchema(QuoteSchema):
    """What a change comes to: the lines of the order afterwards, or those that an extension adds.

    `difference_fen` is to be paid when positive, given back when negative; `fee_fen` is part of it.
    """

    fee_fen = fen()
    difference_fen = fen()
    room = fields.Nested(BriefSchema)
    start_at = Instant()
    end_at = Instant()


class CheckInSchema(AnswerSchema):
    """The customer is in; `access` is null when the door did not answer."""

    access = fields.Nested(AccessSchema, allow_none=True)
