"""The JSON interface of the mini-program."""

from __future__ import annotations

from app.extensions import Application


def register_api(app: Application) -> None:
    """Mount /api/v1 and the addresses that tell how the product is."""
    from app.api import (
        bookings,
        callbacks,
        campaigns,
        changes,
        docs,
        health,
        logins,
        me,
        messages,
        metrics,
        orders,
        payments,
        quotes,
        refund_requests,
        rooms,
        stores,
        vouchers,
    )
    from app.api.requests import prepare_app
    from app.services import tokens

    config = app.config
    tokens.configure(
        [config["SECRET_KEY"], *(config.get("SECRET_KEY_FALLBACKS") or [])],
        access_minutes=config["ACCESS_TOKEN_MINUTES"],
        refresh_days=config["REFRESH_TOKEN_DAYS"],
    )
    prepare_app(app)
    interface = docs.make_interface(app)
    for module in (
        logins,
        me,
        stores,
        rooms,
        quotes,
        bookings,
        orders,
        changes,
        refund_requests,
        payments,
        campaigns,
        vouchers,
        messages,
        callbacks,
        docs,
    ):
        interface.register_blueprint(module.blueprint)
    app.register_blueprint(health.blueprint)
    metrics.register_metrics(app)
