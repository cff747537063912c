"""Reasons on a timeline: the product's own are translated, typed ones stay."""

from __future__ import annotations

import pytest

from app.domain.events import reason_label


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("not_confirmed", "Not confirmed in time"),
        ("cancel", "Order cancelled"),
        ("临时有事", "临时有事"),
        ("", ""),
    ],
)
def test_own_reasons_have_words(reason: str, shown: str) -> None:
    assert str(reason_label(reason)) == shown
