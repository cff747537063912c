"""Operator commands, calling services."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from flask_migrate import upgrade

from app.domain.actor import ALL_STORES, SYSTEM
from app.domain.clock import utc_now
from app.domain.errors import DomainError
from app.extensions import use_scope
from app.services import bills, channels, notification_delivery, notifications, reconciliation, roles

CREDENTIALS = click.Path(exists=True, dir_okay=False, path_type=Path)
SECRET_BYTES = 48

channels_group = AppGroup("channels", help="The services that the product speaks with.")
sandbox_group = AppGroup("sandbox", help="The simulated services of a development machine.")
demo_group = AppGroup("demo", help="Example data.")
notifications_group = AppGroup("notifications", help="The outbox of messages.")


def register_commands(app: Flask) -> None:
    """Add the product's `flask …` commands."""
    groups = (channels_group, sandbox_group, demo_group, notifications_group)
    for command in (set_up, print_secrets, reconcile, *groups):
        app.cli.add_command(command)


@contextmanager
def _as_operator() -> Iterator[None]:
    """Work in every store, and turn refusals into messages on the console."""
    try:
        with use_scope(ALL_STORES):
            yield
    except DomainError as refusal:
        fields = "".join(f"\n{field}: {texts[0]}" for field, texts in (refusal.errors or {}).items())
        raise click.ClickException(f"{refusal.message}{fields}") from refusal


def _require_development(what: str) -> None:
    if current_app.config["QUEFANG_MODE"] == "production":
        raise click.ClickException(f"{what} has no place in production.")


@click.command("setup")
@click.option("--demo/--no-demo", default=None, help="Load example data; by default in development only.")
@click.option("--sandbox-credentials", "credentials", type=CREDENTIALS, help="Register the sandbox.")
@with_appcontext
def set_up(demo: bool | None, credentials: Path | None) -> None:
    """Migrate the database and bring permissions, roles and templates up to date; safe to repeat."""
    has_demo = current_app.config["DEMO_ACCOUNTS"] if demo is None else demo
    if has_demo:
        _require_development("Example data")
    upgrade()
    with _as_operator():
        if hasattr(current_app, "appbuilder"):
            current_app.appbuilder.add_permissions(update_perms=True)
        roles.sync_roles(now=utc_now())
        notifications.seed_templates(now=utc_now())
        if credentials is not None:
            _register(credentials)
        if has_demo:
            _load_demo()
    click.echo("Ready.")


def _load_demo() -> None:
    # Imported here: no other command needs what draws its pictures.
    from app.services import demo

    now, sandbox_url = utc_now(), current_app.config["SANDBOX_URL"]
    # Only what was loaded just now is new to the sandbox; later starts stay fast.
    if demo.load_demo(now=now) and sandbox_url:
        demo.adopt_payments(sandbox_url, now=now)


def _register(credentials: Path) -> None:
    _require_development("The sandbox")
    channels.register_sandbox_credentials(credentials, now=utc_now())


@click.command("secrets")
def print_secrets() -> None:
    """Print fresh secrets for the environment of a production machine."""
    for name in ("SECRET_KEY", "HASH_KEY", "ENCRYPTION_KEYS"):
        click.echo(f"{name}={secrets.token_urlsafe(SECRET_BYTES)}")


@channels_group.command("register")
@click.argument("path", type=CREDENTIALS)
def register_channels(path: Path) -> None:
    """Store the credentials of WeChat and WeChat Pay from the JSON file PATH; secrets are encrypted."""
    with _as_operator():
        channels.register_credentials(path, now=utc_now())
    click.echo("Registered.")


@sandbox_group.command("register")
@click.argument("path", type=CREDENTIALS)
def register_sandbox(path: Path) -> None:
    """Use the credentials that the sandbox wrote into the file PATH."""
    with _as_operator():
        _register(path)
    click.echo("Registered.")


@demo_group.command("load")
def load_demo() -> None:
    """Load the example data; what is there already stays."""
    _require_development("Example data")
    with _as_operator():
        _load_demo()
    click.echo("Loaded.")


@notifications_group.command("resend")
@click.argument("notification_id", type=int)
def resend(notification_id: int) -> None:
    """Put the dead message NOTIFICATION_ID back into the outbox."""
    with _as_operator():
        notification_delivery.resend_notification(notification_id, actor=SYSTEM, now=utc_now())
    click.echo("Queued.")


@click.command("reconcile")
@click.option("--on", "on", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The day, in China.")
@click.option("--service", "services", multiple=True, help="Only this one; by default all that send bills.")
@with_appcontext
def reconcile(on: datetime, services: tuple[str, ...]) -> None:
    """Fetch the bills of a past day and compare them with our books; safe to repeat."""
    with _as_operator():
        for service in services or channels.bill_services():
            bill_id = reconciliation.reconcile_day(service, on.date(), actor=SYSTEM, now=utc_now())
            bill = bills.get_bill(bill_id, actor=SYSTEM)
            click.echo(f"{service} {on:%Y-%m-%d}: {bill['status'].value} {bill['problem']}".rstrip())
