"""Bare Flask: the upper limit of what two workers can answer over HTTP."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


@app.get("/")
def greet() -> str:
    """Say hello; nothing else is done."""
    return "hello"


# Not the Flask object itself: the web server's settings would look for its database.
application = app.wsgi_app
