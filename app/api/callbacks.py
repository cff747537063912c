"""Raw callbacks of payment services, answered as each service wants it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Response, request
from marshmallow import fields

from app.api.answers import json_answer
from app.api.endpoints import Access, Blueprint
from app.api.errors import status_of
from app.api.schemas.base import AnswerSchema
from app.domain.clock import utc_now
from app.domain.errors import DomainError, NotFound
from app.services import payments, refunds
from app.services.callbacks import CallbackRefused

log = logging.getLogger(__name__)

# The services send in bursts from a few addresses; a signature protects the address, not a limit.
blueprint = Blueprint("callbacks", "Callbacks of payment services", is_limited=False)
CHANNEL = "<any(wechat, alipay, unionpay):channel>"
# What each service reads as accepted; anything else makes it send its callback again.
ACCEPTED = {"wechat": ("", 204), "alipay": ("success", 200), "unionpay": ("ok", 200)}
# What a service wants to read instead of the document of the others when a callback is not accepted.
REFUSED = {"alipay": "fail"}
ACCEPTED_TEXT = "`success` for Alipay, any text for UnionPay"
REFUSED_TEXT = "Forged, altered, replayed or unknown; Alipay gets the text `fail` instead"


class CallbackFailureSchema(AnswerSchema):
    """The answer that makes a payment service send its callback again."""

    code = fields.String(metadata={"enum": ["FAIL"]})
    message = fields.String()


@blueprint.operation(
    "POST", f"/payments/{CHANNEL}/notify", status=204, access=Access.PUBLIC, codes=["not_found"]
)
@blueprint.alt_response(200, schema={"type": "string"}, content_type="text/plain", description=ACCEPTED_TEXT)
@blueprint.alt_response(400, schema=CallbackFailureSchema, description=REFUSED_TEXT)
def receive_payment(channel: str) -> Response:
    """Take what a payment service says about a payment: the word that it waits for, or FAIL."""
    return _answered(channel, payments.receive_callback)


@blueprint.operation(
    "POST", f"/refunds/{CHANNEL}/notify", status=204, access=Access.PUBLIC, codes=["not_found"]
)
@blueprint.alt_response(200, schema={"type": "string"}, content_type="text/plain", description=ACCEPTED_TEXT)
@blueprint.alt_response(400, schema=CallbackFailureSchema, description=REFUSED_TEXT)
def receive_refund(channel: str) -> Response:
    """Take what a payment service says about a refund: the word that it waits for, or FAIL."""
    return _answered(channel, refunds.receive_callback)


def _answered(channel: str, receive: Callable[..., None]) -> Response:
    headers = list(request.headers.items())
    try:
        receive(channel, headers=headers, body=request.get_data(), now=utc_now())
    except CallbackRefused as refused:
        log.warning("callback of %s refused: %s", channel, refused.code)
        return _failed(channel, 400, refused.code)
    except NotFound:
        raise
    except DomainError as refusal:
        return _failed(channel, status_of(refusal), refusal.code)
    word, status = ACCEPTED[channel]
    return Response(word, status, mimetype="text/plain")


def _failed(channel: str, status: int, message: str) -> Response:
    if channel in REFUSED:
        return Response(REFUSED[channel], status, mimetype="text/plain")
    return json_answer({"code": "FAIL", "message": message}, status)
