"""The customer's inbox."""

from __future__ import annotations

from marshmallow import fields

from app.api.schemas.base import AnswerSchema, Id, Instant


class MessageSchema(AnswerSchema):
    """A message; `read_at` is null until it was read."""

    id = Id()
    event = fields.String()
    title = fields.String()
    body = fields.String()
    created_at = Instant()
    read_at = Instant(allow_none=True)
