"""Doors over the real path: the adapter against the sandbox's process, which keeps the lock cloud's rules."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.domain.clock import utc_now
from app.gateways import DoorCredentials
from app.gateways.ports import GatewayRefused, GatewayUnavailable, RoomAccess
from app.gateways.ttlock import TTLockRoomControl
from tests.gateways.conftest import Sandbox

ROOM, OTHER = "12", "13"
HOUR = timedelta(hours=1)
SHORT_SECONDS = 0.3


@pytest.fixture
def doors(sandbox: Sandbox) -> TTLockRoomControl:
    return sandbox.doors()


def let_in(doors: TTLockRoomControl, start: datetime | None = None) -> RoomAccess:
    start_at = start or utc_now() - timedelta(minutes=1)
    return doors.let_in(ROOM, start_at, start_at + 2 * HOUR)


def opens(sandbox: Sandbox, access: RoomAccess, room: str = ROOM) -> bool:
    return bool(sandbox.control(f"/doors/{room}/try", {"code": access.code})["opens"])


def test_code_opens_its_room_in_its_time_and_no_other(sandbox: Sandbox, doors: TTLockRoomControl) -> None:
    access, later = let_in(doors), let_in(doors, utc_now() + HOUR)

    assert access.code is not None
    assert access.code.isascii() and access.code.isdigit() and len(access.code) == 6
    assert access.code not in repr(access)
    assert (opens(sandbox, access), opens(sandbox, access, OTHER), opens(sandbox, later)) == (
        True,
        False,
        False,
    )


def test_code_is_prolonged_and_taken_back(sandbox: Sandbox, doors: TTLockRoomControl) -> None:
    access = let_in(doors)
    end_at = access.expires_at + HOUR

    doors.prolong(ROOM, access.ref, end_at)

    (kept,) = sandbox.doors_now()
    assert (kept["lock"], kept["end_at"]) == (ROOM, int(end_at.timestamp() * 1000))
    doors.shut_out(ROOM, access.ref)
    assert not opens(sandbox, access)
    # What is gone already needs no second try.
    doors.shut_out(ROOM, access.ref)
    with pytest.raises(GatewayRefused, match="-3008"):
        doors.prolong(ROOM, access.ref, end_at)


def test_codes_of_one_room_differ(sandbox: Sandbox, doors: TTLockRoomControl) -> None:
    assert len({let_in(doors).code for _ in range(12)}) == 12


def test_gateway_that_is_offline_may_be_tried_again(sandbox: Sandbox, doors: TTLockRoomControl) -> None:
    sandbox.control("/faults", {"target": "door", "mode": "error", "count": 1, "operation": "add"})

    with pytest.raises(GatewayRefused) as refused:
        let_in(doors)

    assert (refused.value.code, refused.value.is_retryable) == ("-3002", True)
    assert opens(sandbox, let_in(doors))


def test_silent_cloud_is_unavailable(sandbox: Sandbox) -> None:
    doors = sandbox.doors(SHORT_SECONDS)
    sandbox.control("/faults", {"target": "door", "mode": "timeout_after_commit", "count": 1, "seconds": 5})

    with pytest.raises(GatewayUnavailable) as unavailable:
        let_in(doors)

    assert unavailable.value.outcome_unknown


def test_token_that_is_forgotten_is_fetched_anew(sandbox: Sandbox, doors: TTLockRoomControl) -> None:
    let_in(doors)
    sandbox.reset()

    assert opens(sandbox, let_in(doors))


def test_wrong_secret_and_wrong_clock_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(GatewayRefused, match="10001") as refused:
        let_in(sandbox.doors(client_secret="wrong"))
    assert not refused.value.is_retryable
    late = sandbox.doors()
    late._clock = lambda: utc_now().timestamp() - 400
    with pytest.raises(GatewayRefused, match="80000"):
        let_in(late)


def test_nothing_secret_is_told_by_a_failure(sandbox: Sandbox, closed_port: int) -> None:
    credentials = sandbox.credentials["ttlock"]
    doors = TTLockRoomControl(
        DoorCredentials(**credentials), base_url=f"http://127.0.0.1:{closed_port}", timeout_seconds=1
    )
    with pytest.raises(GatewayUnavailable) as unavailable:
        let_in(doors)

    assert not unavailable.value.outcome_unknown
    assert not any(value in str(unavailable.value) for value in credentials.values())
    assert credentials["client_secret"] not in repr(DoorCredentials(**credentials))
