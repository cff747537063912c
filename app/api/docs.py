"""The OpenAPI document, and the page that shows it without a byte from elsewhere."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, render_template
from flask_smorest import Api

from app.api.answers import JSON, json_bytes, tagged
from app.api.documents import complete_document
from app.api.endpoints import Access, Blueprint
from app.api.errors import ProblemSchema

blueprint = Blueprint("docs", "This document")


class Interface(Api):
    """Collects the document; errors are answered by our own handlers."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = ProblemSchema

    def _register_error_handlers(self) -> None:
        """Leave the application's handlers to the back office."""


def make_interface(app: Flask) -> Interface:
    """Return the collector of the document, bound to *app*."""
    return Interface(
        app,
        spec_kwargs={
            "title": "雀坊 Quefang",
            "version": "v1",
            "openapi_version": "3.0.3",
            "info": {"description": "Booking, paying and redeeming from the mini-program."},
            "servers": [{"url": "/"}],
        },
    )


@blueprint.operation("GET", "/openapi.json", access=Access.PUBLIC)
def get_document() -> Response:
    """Return this document."""
    document = current_app.extensions.get("api_document")
    if document is None:
        interface: Any = current_app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
        document = json_bytes(complete_document(interface.spec.to_dict()))
        current_app.extensions["api_document"] = document
    return tagged(Response(document, content_type=JSON))


@blueprint.operation("GET", "/docs", access=Access.PUBLIC)
def show_document() -> Response:
    """Return a page to read and try the operations."""
    return Response(render_template("api/docs.html"), content_type="text/html; charset=utf-8")
