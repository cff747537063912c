"""Operator commands, calling services."""

from __future__ import annotations

from flask import Flask


def register_commands(app: Flask) -> None:
    """Add the product's `flask …` commands."""
