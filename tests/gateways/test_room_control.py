"""Door codes: six digits of chance, good until the end of the visit, never shown by accident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.gateways.room_control import CodeRoomControl

START_AT = datetime(2026, 3, 14, 4, tzinfo=UTC)
END_AT = START_AT + timedelta(hours=3)


def test_a_code_is_good_until_the_end_and_makes_no_connection(connections: list[object]) -> None:
    access = CodeRoomControl().let_in("room-12", START_AT, END_AT)

    assert (access.kind, access.expires_at) == ("code", END_AT)
    assert access.code is not None
    assert len(access.code) == 6 and access.code.isascii() and access.code.isdigit()
    assert access.code not in repr(access)
    assert connections == []


def test_codes_of_one_room_differ() -> None:
    codes = {CodeRoomControl().let_in("room-12", START_AT, END_AT).code for _ in range(50)}

    # Fifty draws from a million hold more than five repetitions once in 10^17 runs.
    assert len(codes) >= 45
