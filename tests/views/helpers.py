"""Clients that are logged in, and what pages are read with."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from app.models import Staff


def client_of(app: Flask, account: Staff) -> FlaskClient:
    """Return a client whose session belongs to *account*."""
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = str(account.id)
        session["_fresh"] = True
    return client
