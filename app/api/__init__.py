"""The JSON interface of the mini-program."""

from __future__ import annotations

from flask import Flask


def register_api(app: Flask) -> None:
    """Mount /api/v1 and the health addresses."""
