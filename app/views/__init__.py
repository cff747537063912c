"""The back office."""

from __future__ import annotations

from app.views.register import register_back_office

__all__ = ["register_back_office"]
