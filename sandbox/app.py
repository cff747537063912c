"""The web application of the sandbox: wiring of services, control and the human page."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from sandbox.control import control_blueprint, problem, refuse_strangers
from sandbox.faults import Abandoning
from sandbox.fields import BodyError, FieldError
from sandbox.pages import pages_blueprint
from sandbox.runtime import Sandbox
from sandbox.services import Refused
from sandbox.wechat_base import refusal

BODY_LIMIT_BYTES = 1024 * 1024
WECHAT_PREFIXES = ("/sns/", "/cgi-bin/", "/wxa/")


def create_app(sandbox: Sandbox) -> Flask:
    """Return the application of *sandbox*."""
    app = Flask("sandbox", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT_BYTES
    app.before_request(_guard_control)
    app.register_error_handler(FieldError, _invalid_field)
    app.register_error_handler(BodyError, lambda _: problem(400, "malformed", "the body is no JSON object"))
    app.register_error_handler(Refused, lambda error: problem(error.status, error.code, error.detail))
    app.register_error_handler(HTTPException, _http_error)
    for service in sandbox.services:
        for paths in service.blueprints():
            app.register_blueprint(paths)
    app.register_blueprint(control_blueprint(sandbox))
    app.register_blueprint(pages_blueprint(sandbox))
    app.wsgi_app = Abandoning(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _guard_control() -> Response | None:
    return refuse_strangers() if (request.blueprint or "control").startswith("control") else None


def _invalid_field(error: FieldError) -> Response:
    return problem(422, "invalid_field", str(error), {error.field.strip("/"): [error.reason]})


def _http_error(error: HTTPException) -> Response:
    """Answer unknown paths, methods and oversized bodies in the form of the service that was called."""
    # A mistake of the sandbox itself stays a plain 500, so that nobody takes it for a refusal.
    if request.path.startswith(WECHAT_PREFIXES) and error.code != 500:
        return refusal(40066, "invalid url") if error.code == 404 else refusal(43002, "wrong http method")
    codes = {400: "malformed", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    status = error.code or 500
    return problem(status, codes.get(status, "error"), error.description or "")
