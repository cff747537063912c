"""The back office."""

from __future__ import annotations

from flask import Flask


def register_back_office(app: Flask) -> None:
    """Mount Flask-AppBuilder with the product's screens."""


def register_languages(app: Flask) -> None:
    """Set up translations alone, for workers."""
