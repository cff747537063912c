"""A client that holds every answer of the interface against the OpenAPI document and the house rules."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

PREFIX = "/api/v1"
ARGUMENT = re.compile(r"<[^:>]+:([a-z_]+)>")
PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "errors", "data"}


class ContractClient(FlaskClient):
    """Fails where an answer sets a cookie, is no problem document though it refuses, or is not documented."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, **kwargs)
        if answer.request.path.startswith(PREFIX):
            check_answer(self.application, answer)
        return answer


def check_answer(app: Flask, answer: TestResponse) -> None:
    """Raise AssertionError for an answer that breaks the contract."""
    assert "Set-Cookie" not in answer.headers
    if answer.status_code >= 400 and "/notify" not in answer.request.path:
        assert answer.content_type == "application/problem+json"
        assert set(answer.json) == PROBLEM_FIELDS
        assert answer.json["status"] == answer.status_code
        assert answer.json["detail"]
    operation = _operation(app, answer)
    if operation is None or answer.request.method in ("HEAD", "OPTIONS"):
        return
    if answer.status_code in (304, 405):
        return
    documented = operation["responses"].get(str(answer.status_code))
    assert documented is not None, f"{answer.status_code} is not documented: {answer.get_data(True)[:300]}"
    if answer.status_code >= 400 and "code" in (answer.json or {}) and "/notify" not in answer.request.path:
        assert f"`{answer.json['code']}`" in documented["description"]
    schema = documented.get("content", {}).get(answer.mimetype, {}).get("schema")
    if schema is not None and answer.mimetype.startswith("text/"):
        Draft202012Validator(schema).validate(answer.get_data(True))
    elif schema is not None:
        is_list = schema.get("type") == "array"
        reference = (schema["items"] if is_list else schema)["$ref"]
        _validator(app, reference, is_list).validate(answer.json)


def document_of(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
    return _documents(app)


@cache
def _documents(app: Flask) -> dict[str, Any]:
    return FlaskClient(app, TestResponse).get(f"{PREFIX}/openapi.json").get_json(force=True)


def _operation(app: Flask, answer: TestResponse) -> dict[str, Any] | None:
    adapter = app.url_map.bind("localhost")
    try:
        rule, _ = adapter.match(answer.request.path, method=answer.request.method, return_rule=True)
    except (HTTPException, RequestRedirect):
        return None
    path = ARGUMENT.sub(r"{\1}", rule.rule)
    operation: dict[str, Any] = document_of(app)["paths"][path][answer.request.method.lower()]
    return operation


@cache
def _validator(app: Flask, reference: str, is_list: bool) -> Draft202012Validator:
    document = _with_nulls(deepcopy(document_of(app)))
    schema: dict[str, Any] = {"$ref": reference}
    if is_list:
        schema = {"type": "array", "items": schema}
    return Draft202012Validator({**schema, "components": document["components"]})


def _with_nulls(node: Any) -> Any:
    """Turn OpenAPI 3.0's `nullable` into what JSON Schema says for it, and refuse undocumented fields."""
    if isinstance(node, list):
        return [_with_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _with_nulls(value) for key, value in node.items()}
    if node.get("type") == "object" and "properties" in node:
        node.setdefault("additionalProperties", False)
    if node.pop("nullable", False):
        return {"anyOf": [node, {"type": "null"}]}
    return node
