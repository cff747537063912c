"""Refund requests: what customers ask for and what they are told."""

from __future__ import annotations

from marshmallow import fields

from app.api.schemas.base import AnswerSchema, Id, Instant, RequestSchema, Text, Whole, fen
from app.api.schemas.common import FeeStepSchema, words
from app.domain.states import RefundRequestStatus


class RefundRequestBodySchema(RequestSchema):
    """Why, and how much; without an amount what the rules of the order give back."""

    reason = Text(at_least=1, at_most=200, required=True)
    amount_fen = Whole(low=1, high=100_000_000, load_default=None, allow_none=True)


class RefundPreviewSchema(AnswerSchema):
    """What the rules give back now, and the step that decides."""

    refundable_fen = fen()
    refund_fen = fen()
    fee_fen = fen()
    step = fields.Nested(FeeStepSchema, allow_none=True)


class RefundRequestSchema(AnswerSchema):
    """A request with what was decided about it."""

    id = Id()
    status = fields.String(metadata={"enum": words(RefundRequestStatus)})
    status_label = fields.String()
    reason = fields.String()
    amount_fen = fields.Integer(allow_none=True)
    policy_fen = fen()
    approved_fen = fields.Integer(allow_none=True)
    created_at = Instant()
    decided_at = Instant(allow_none=True)
    decision_reason = fields.String(allow_none=True)


class RefundRequestsSchema(AnswerSchema):
    """Every request of one order, the newest first."""

    items = fields.List(fields.Nested(RefundRequestSchema))
    next_cursor = fields.String(allow_none=True)
