"""Logging in, and the customer's own profile."""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, fields

from app.api.schemas.base import AnswerSchema, Choice, Id, Instant, RequestSchema, Text

# What clients call a language, and what we call it; both are understood.
LANGUAGES = {"zh-CN": "zh", "zh-TW": "zh_Hant", "en": "en", "zh": "zh", "zh_Hant": "zh_Hant"}
_SHOWN = {"zh": "zh-CN", "zh_Hant": "zh-TW", "en": "en"}
# A web address, or a picture of our own.
_PICTURE = r"^(https://[^\s/]+/\S*|/media/\S+)$"


class LoginSchema(RequestSchema):
    """The one-use code that the platform gave the client."""

    channel = Choice(["wechat", "alipay"], required=True)
    code = Text(at_least=1, at_most=512, required=True, metadata={"example": "0a1Bc2"})


class RefreshSchema(RequestSchema):
    """The refresh token of the last answer; it works once."""

    refresh_token = Text(at_least=1, at_most=200, required=True)


class CustomerSchema(AnswerSchema):
    """A customer's own profile; the phone number is masked."""

    id = Id()
    nickname = fields.String()
    avatar_url = fields.String(allow_none=True)
    language = fields.Function(
        lambda customer: _SHOWN.get(customer["language"], "zh-CN"),
        metadata={"type": "string", "enum": list(_SHOWN.values())},
    )
    phone = fields.String(allow_none=True, metadata={"example": "138****8000"})
    created_at = Instant()


class TokensSchema(AnswerSchema):
    """A pair of tokens; `expires_in` is the life of the access token in seconds."""

    access_token = fields.String()
    refresh_token = fields.String()
    expires_in = fields.Integer(metadata={"example": 1800})


class LoginAnswerSchema(TokensSchema):
    """A pair of tokens, and whose they are."""

    customer = fields.Nested(CustomerSchema)


class ProfileSchema(RequestSchema):
    """What a customer may change; what is left out stays."""

    nickname = Text(at_least=1, at_most=64)
    avatar_url = Text(at_most=300, pattern=_PICTURE, allow_none=True)
    language = Choice(LANGUAGES)


class PhoneSchema(RequestSchema):
    """The one-use code of the phone button."""

    code = Text(at_least=1, at_most=512, required=True)


class ConsentsSchema(RequestSchema):
    """What the customer answered for each message template."""

    class Meta:
        unknown = INCLUDE


class ConsentCountsSchema(AnswerSchema):
    """How many messages of each template may be sent now."""

    consents = fields.Dict(keys=fields.String(), values=fields.Integer())


CONSENTS_DOCUMENT: dict[str, Any] = {"type": "string", "enum": ["accepted", "rejected"]}
