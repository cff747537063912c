"""Security headers of every page and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flask_talisman import Talisman

from app.extensions import Application

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

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
    app.interface_headers = _interface_headers(is_production)


def _interface_headers(is_production: bool) -> Callable[[WSGIEnvironment], Mapping[str, str]]:
    """The same headers for answers of the interface, which have no scripts of their own to let through."""
    plain = {
        "Content-Security-Policy": "; ".join(
            f"{name} {value}" for name, value in CONTENT_SECURITY_POLICY.items()
        ),
        "Permissions-Policy": "browsing-topics=()",
        "Referrer-Policy": REFERRER_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": FRAME_OPTIONS,
    }

    over_tls = plain | {"Strict-Transport-Security": f"max-age={TLS_SECONDS}; includeSubDomains"}

    def choose(environ: WSGIEnvironment) -> Mapping[str, str]:
        is_tls = "https" in (environ.get("wsgi.url_scheme"), environ.get("HTTP_X_FORWARDED_PROTO"))
        return over_tls if is_production and is_tls else plain

    return choose
