"""The product without its protection, for the control of the race."""

from __future__ import annotations

import os

from flask import Flask

from app import create_app as create_real_app
from tests.races.unprotected import unprotect


def create_app() -> Flask:
    """Return the application; UNPROTECTED says what protection is missing."""
    app = create_real_app()
    unprotect(os.environ["UNPROTECTED"])
    return app
