"""One decorator for every operation: who may, in which order things are checked, and how it is documented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import wraps
from typing import Any

from flask import Response
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import Schema

from app.api.answers import JSON, json_answer, raw_answer, tagged
from app.api.auth import View, accept_customer, require_customer
from app.api.documents import describe_errors, describe_operation
from app.api.dumping import compile_dump
from app.api.errors import register_error_handlers
from app.api.idempotency import idempotent, keeping
from app.api.limits import check_request, count_failures
from app.api.requests import BodyParser
from app.extensions import INTERFACE, csrf
from app.services.idempotency import Answer

Maker = Callable[[Any], Response]


class Access(Enum):
    """Who may ask: a logged-in customer, anybody with or without a login, or anybody."""

    CUSTOMER = "customer"
    OPTIONAL = "optional"
    PUBLIC = "public"


class Keyed(Enum):
    """How a repetition is recognised: in the transaction of the effect, or by a claim of its own.

    SERVICE is local too, but the service keeps the answer itself: its handler gets `keep`, returns an Answer.
    """

    LOCAL = "local"
    REMOTE = "remote"
    SERVICE = "service"


class Blueprint(SmorestBlueprint):
    """A group of operations under the prefix, free of cookies and CSRF tokens, with problem documents."""

    ARGUMENTS_PARSER = BodyParser()

    def __init__(self, name: str, description: str, *, is_limited: bool = True) -> None:
        super().__init__(name, __name__, url_prefix=INTERFACE, description=description)
        register_error_handlers(self)
        if is_limited:
            self.before_request(check_request)
            self.after_request(count_failures)
        csrf.exempt(self)

    def operation(
        self,
        method: str,
        rule: str,
        *,
        answer: type[Schema] | Schema | None = None,
        status: int = 200,
        body: type[Schema] | None = None,
        query: type[Schema] | None = None,
        access: Access = Access.CUSTOMER,
        guard: Callable[[View], View] | None = None,
        keyed: Keyed | None = None,
        codes: Sequence[str] = (),
        has_tag: bool = False,
    ) -> Callable[[View], View]:
        """Register a handler that takes the parsed body or query and the parts of the address.

        Checked in this order: the token, *guard* (ownership, limits), the repetition key, body and query.
        The handler returns data for the schema *answer*, or a finished response. *codes* are the refusals
        that the operation adds to those that its parts imply.
        """

        def register(view: View) -> View:
            make = _maker(answer, status)
            run = self._shaped(view, make, answer, status)
            if query is not None:
                # An instance, because a class would be made into one for every request.
                run = self.arguments(query(), location="query")(run)
            if body is not None:
                shape = body()
                is_needed = any(field.required for field in shape.fields.values())
                run = self.arguments(shape, required=is_needed)(run)
            if keyed is Keyed.SERVICE:
                run = keeping(make)(run)
            elif keyed is not None:
                run = idempotent(remote=keyed is Keyed.REMOTE)(run)
            if guard is not None:
                run = guard(run)
            run = _with_access(access)(run)
            if has_tag:
                run = _with_tag(run)
            implied = _implied_codes(rule, access, has_body=body is not None, is_keyed=keyed is not None)
            if query is not None or body is not None:
                implied.append("invalid_field")
            documented: View = self.doc(
                **describe_operation(is_keyed=keyed is not None, has_tag=has_tag, access=access.value),
                responses=describe_errors([*implied, *codes]),
            )(run)
            self.route(rule, methods=[method])(documented)
            return documented

        return register

    def _shaped(self, view: View, make: Maker, answer: type[Schema] | Schema | None, status: int) -> View:
        """Turn what the handler returns into an answer, and document it."""

        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Response:
            data = view(*args, **kwargs)
            if isinstance(data, Answer):
                return raw_answer(data.status, data.body)
            return data if isinstance(data, Response) else make(data)

        documented = self.response(status, answer, content_type=None if answer is None else JSON)
        shaped: View = documented(run)
        return shaped


def _maker(answer: type[Schema] | Schema | None, status: int) -> Maker:
    """Return what makes a response of data by the schema *answer*."""
    if answer is None:
        return lambda _data: Response(status=status)
    dump = compile_dump(answer() if isinstance(answer, type) else answer)
    return lambda data: json_answer(dump(data), status)


def _with_access(access: Access) -> Callable[[View], View]:
    if access is Access.CUSTOMER:
        return require_customer
    return accept_customer if access is Access.OPTIONAL else lambda view: view


def _with_tag(view: View) -> View:
    @wraps(view)
    def run(*args: Any, **kwargs: Any) -> Response:
        return tagged(view(*args, **kwargs))

    return run


def _implied_codes(rule: str, access: Access, *, has_body: bool, is_keyed: bool) -> list[str]:
    codes = ["rate_limited", "internal_error", "unavailable", "too_large"]
    if access is not Access.PUBLIC:
        codes += ["token_invalid", "token_expired"]
    if access is Access.CUSTOMER:
        codes.append("token_missing")
    if "<" in rule:
        codes.append("not_found")
    if has_body:
        codes += ["malformed", "unsupported_media_type"]
    if is_keyed:
        codes += ["idempotency_conflict", "invalid_field"]
    return codes
