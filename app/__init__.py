"""Quefang: the application factory, wiring only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, has_request_context, request
from flask_babel import Babel
from werkzeug.middleware.proxy_fix import ProxyFix

import config as settings_module

if TYPE_CHECKING:
    from app.extensions import Application


def create_app(
    settings: settings_module.Settings | None = None, *, with_back_office: bool = True, **overrides: Any
) -> Flask:
    """Return an application for *settings* (default: from the environment).

    Workers leave the back office out. Keyword overrides replace single settings, for tests.
    """
    from app.api import hot_reads
    from app.extensions import Application

    settings = settings or settings_module.load_settings()
    app = Application(__name__, instance_path=settings.INSTANCE_DIR)
    app.config.from_object(settings)
    app.config.update(overrides)
    Path(app.config["INSTANCE_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    _init_extensions(app)
    _init_gateways(app)
    _register_entries(app, with_back_office)
    app.wsgi_app = hot_reads.answer_hot_reads(app, app.wsgi_app)  # type: ignore[assignment,method-assign]
    if app.config["TRUSTED_PROXIES"]:
        count = app.config["TRUSTED_PROXIES"]
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    return app


def _init_extensions(app: Flask) -> None:
    from app import extensions, models
    from app.models.scope import install_scope

    extensions.keyring.configure(app.config["ENCRYPTION_KEYS"], app.config["HASH_KEY"])
    extensions.configure_redis(app)
    extensions.db.init_app(app)
    extensions.end_sessions_quietly(app)
    with app.app_context():
        extensions.prepare_engine(extensions.db.engine, app.config["DATABASE_LOCK_SECONDS"])
        install_scope(extensions.db.session.session_factory.class_)
    extensions.migrate.init_app(
        app, extensions.db, directory=str(Path(__file__).parent.parent / "migrations")
    )
    extensions.csrf.init_app(app)
    extensions.init_limiter(app)
    assert models  # every table is known before anything runs


def _init_gateways(app: Flask) -> None:
    from app import extensions, gateways
    from app.services import channels

    gateways.configure(
        gateways.GatewaySettings(
            wechat_api_url=app.config["WECHAT_API_URL"],
            wechat_pay_url=app.config["WECHAT_PAY_URL"],
            alipay_url=app.config["ALIPAY_URL"],
            unionpay_url=app.config["UNIONPAY_URL"],
            unionpay_front_url=app.config["UNIONPAY_FRONT_URL"],
            has_unionpay_sandbox=app.config["HAS_UNIONPAY_SANDBOX"],
            timeout_seconds=app.config["GATEWAY_TIMEOUT_SECONDS"],
            media_dir=Path(app.config["INSTANCE_DIR"]) / "media",
            bill_dir=Path(app.config["INSTANCE_DIR"]) / "bills",
            is_production=app.config["QUEFANG_MODE"] == "production",
            door_url=app.config["DOOR_URL"],
        ),
        extensions.redis_holder.client,
    )
    channels.configure(notify_base_url=app.config["NOTIFY_BASE_URL"])


def _register_entries(app: Application, with_back_office: bool) -> None:
    from app import api, cli, views
    from app.jobs import commands

    cli.register_commands(app)
    commands.register_commands(app)
    api.register_api(app)
    if with_back_office:
        views.register_back_office(app)
    else:
        Babel(app)
    _choose_languages(app)


def _choose_languages(app: Flask) -> None:
    """The JSON interface speaks what a request asks for, the back office what its user chose."""
    from app.api.language import is_api_request, pick_language
    from app.views.register import staff_language

    def select_language() -> str:
        if is_api_request():
            return pick_language(request.headers.get("Accept-Language"))
        return staff_language() if has_request_context() else str(app.config["BABEL_DEFAULT_LOCALE"])

    app.extensions["babel"].locale_selector = select_language
