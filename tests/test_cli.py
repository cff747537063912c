"""Operator commands: what they do, that they may be repeated, and how they refuse."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select

from app.domain import notices
from app.domain.clock import utc_now
from app.domain.reconciliation import bill_date
from app.domain.states import NotificationStatus
from app.extensions import db
from app.models import ChannelCredential, Notification, NotificationTemplate
from app.services import channels, notifications, queue
from tests.factories import make_customer


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """What runs `flask …` against the application."""
    return app.test_cli_runner()


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """The file that the sandbox writes; keys are only looked at when they are used."""
    names = ("mchid", "app_id", "merchant_private_key", "merchant_serial_no", "api_v3_key", "public_key_id")
    payment = dict.fromkeys((*names, "public_key"), "x")
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"wechat": {"app_id": "wx1", "app_secret": "s"}, "wechat_pay": payment}))
    return path


def test_setup_may_be_repeated(runner: FlaskCliRunner, credentials: Path) -> None:
    for _ in range(2):
        done = runner.invoke(args=["setup", "--no-demo", "--sandbox-credentials", str(credentials)])
        assert (done.exit_code, done.output) == (0, "Ready.\n")
    assert len(db.session.scalars(select(ChannelCredential)).all()) == 2
    templates = db.session.scalars(select(NotificationTemplate)).all()
    assert len(templates) == len(list(notices.default_templates()))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["setup", "--demo"], id="demo by setup"),
        pytest.param(["setup", "--no-demo", "--sandbox-credentials", "FILE"], id="sandbox by setup"),
        pytest.param(["demo", "load"], id="demo"),
        pytest.param(["sandbox", "register", "FILE"], id="sandbox"),
    ],
)
def test_production_takes_no_example_data_and_no_sandbox(
    app: Flask, runner: FlaskCliRunner, credentials: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setitem(app.config, "QUEFANG_MODE", "production")
    done = runner.invoke(args=[str(credentials) if option == "FILE" else option for option in options])
    assert done.exit_code == 1
    assert "has no place in production" in done.output
    assert db.session.scalars(select(ChannelCredential)).all() == []


def test_sandbox_register_names_what_is_missing(runner: FlaskCliRunner, tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text('{"wechat": {"app_id": "wx1"}}')
    done = runner.invoke(args=["sandbox", "register", str(path)])
    assert done.exit_code == 1
    assert "wechat.app_secret" in done.output
    assert db.session.scalars(select(ChannelCredential)).all() == []


def test_secrets_are_long_and_new_each_time(runner: FlaskCliRunner) -> None:
    lines = [runner.invoke(args=["secrets"]).output.splitlines() for _ in range(2)]
    names = [line.partition("=")[0] for line in lines[0]]
    values = {line.partition("=")[2] for line in lines[0] + lines[1]}
    assert names == ["SECRET_KEY", "HASH_KEY", "ENCRYPTION_KEYS"]
    assert len(values) == 6
    assert min(map(len, values)) >= 64


def test_jobs_run_and_list(runner: FlaskCliRunner) -> None:
    assert "expire_vouchers: 0 handled" in runner.invoke(args=["jobs", "run", "expire_vouchers"]).output
    listed = runner.invoke(args=["jobs", "list"]).output.splitlines()
    lines = {line.split()[0]: line for line in listed}
    assert "0 handled" in lines["expire_vouchers"]
    assert lines["sweep_outbox"].endswith("never")


def test_jobs_run_of_an_unknown_name(runner: FlaskCliRunner) -> None:
    done = runner.invoke(args=["jobs", "run", "no_such_job"])
    assert done.exit_code == 2


def test_resend_of_a_dead_message(
    runner: FlaskCliRunner, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_enqueue_now", lambda job, args: None)
    notifications.queue_notice("voucher_expired", customer_id=make_customer().id, now=now)
    (message,) = db.session.scalars(select(Notification)).all()
    message.status = NotificationStatus.DEAD
    db.session.commit()
    assert runner.invoke(args=["notifications", "resend", str(message.id)]).output == "Queued.\n"
    again = runner.invoke(args=["notifications", "resend", str(message.id)])
    assert again.exit_code == 1
    assert again.output.startswith("Error: ")
    db.session.expire_all()
    assert message.status is NotificationStatus.PENDING


def test_real_credentials_are_registered_by_command(runner: FlaskCliRunner, credentials: Path) -> None:
    done = runner.invoke(args=["channels", "register", str(credentials)])
    assert done.exit_code == 0, done.output
    assert channels.wechat_app_id() == json.loads(credentials.read_text())["wechat"]["app_id"]


def test_days_are_reconciled_by_hand(
    runner: FlaskCliRunner, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.invoke(args=["channels", "register", str(credentials)])
    asked: list[date] = []
    monkeypatch.setattr(channels, "bills_of", lambda name: SimpleNamespace(download_bill=asked.append))
    on = bill_date(utc_now()) - timedelta(days=3)

    done = runner.invoke(args=["reconcile", "--on", on.isoformat()])

    assert (done.exit_code, done.output) == (0, f"wechat {on.isoformat()}: matched\n")
    assert asked == [on]
    refused = runner.invoke(args=["reconcile", "--on", (on + timedelta(days=9)).isoformat()])
    assert refused.exit_code == 1 and "on: " in refused.output
    assert asked == [on]
