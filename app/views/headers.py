"""Security headers of every page and answer."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, request
from flask_talisman import Talisman

from app.extensions import Application

CONTENT_SECURITY_POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    # The framework and the date picker set styles on elements.
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
FRAME_OPTIONS = "DENY"
REFERRER_POLICY = "strict-origin-when-cross-origin"
TLS_SECONDS = 31536000


def register_headers(app: Application) -> None:
    """Send content policy, HSTS, nosniff and referrer policy; in production only over TLS."""
    is_production = app.config["QUEFANG_MODE"] == "production"
    Talisman(
        app,
        # The proxy in front ends TLS and redirects; health checks come without it.
        force_https=False,
        strict_transport_security=is_production,
        strict_transport_security_max_age=TLS_SECONDS,
        content_security_policy=CONTENT_SECURITY_POLICY,
        content_security_policy_nonce_in=["script-src"],
        frame_options=FRAME_OPTIONS,
        referrer_policy=REFERRER_POLICY,
        session_cookie_secure=app.config["SESSION_COOKIE_SECURE"],
        session_cookie_http_only=True,
        session_cookie_samesite=app.config["SESSION_COOKIE_SAMESITE"],
    )
    app.after_interface.append(_guard_interface(is_production))


def _guard_interface(is_production: bool) -> Callable[[Response], Response]:
    """The same headers for answers of the interface, which have no scripts of their own to let through."""
    headers = {
        "Content-Security-Policy": "; ".join(
            f"{name} {value}" for name, value in CONTENT_SECURITY_POLICY.items()
        ),
        "Permissions-Policy": "browsing-topics=()",
        "Referrer-Policy": REFERRER_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": FRAME_OPTIONS,
    }

    def guard(answer: Response) -> Response:
        answer.headers.extend(headers)
        if is_production and (request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"):
            answer.headers["Strict-Transport-Security"] = f"max-age={TLS_SECONDS}; includeSubDomains"
        return answer

    return guard
