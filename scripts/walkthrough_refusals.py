"""Bad input and closed doors: each is refused with its documented code, and nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from scripts.walkthrough_http import Client, Surprise, expect
from scripts.walkthrough_world import API, Slot, World, check, moment, next_half_hour, now


class Refusal(NamedTuple):
    """A request that has to be refused."""

    label: str
    status: int
    code: str | None
    body: Any = None
    method: str = "POST"
    path: str = "/bookings"
    raw: bytes | None = None
    headers: dict[str, str] | None = None


def refuse(world: World) -> None:
    """Try everything that is not allowed and look afterwards whether something changed."""
    anna, boris = world.customers[:2]
    store = world.stores()[0]
    slot = world.find_slot(store["id"], 120, after=timedelta(hours=5))
    # In another store, so that the two never meet.
    elsewhere = world.find_slot(world.stores()[-1]["id"], 60, after=timedelta(hours=8))
    foreign = world.book(boris, elsewhere)["no"]
    before = _fingerprint(anna.client, boris.client)
    tried = 0
    for each in [*_wrong_times(slot), *_closed_doors(world), *_wrong_requests(slot, foreign)]:
        answer = anna.client.request(
            each.method, API + each.path, each.body, raw=each.raw, headers=each.headers
        )
        try:
            expect(answer, each.status, each.code)
        except Surprise as found:
            raise Surprise(f"{each.label}: {found}") from None
        tried += 1
    forged = world.guest.request("POST", f"{API}/payments/wechat/notify", {"id": "forged"})
    check(
        400 <= forged.status < 500 and forged.data["code"] == "FAIL", "a forged callback is accepted", forged
    )
    for label, client, code in (
        ("no token", Client(world.base), "token_missing"),
        ("a wrong token", Client(world.base, "not.a.token"), "token_invalid"),
    ):
        check(client.request("GET", f"{API}/orders").code == code, f"{label} is not answered {code}")
        expect(client.request("POST", f"{API}/bookings", slot.body), 401, code)
        tried += 1
    check(_fingerprint(anna.client, boris.client) == before, "a refused request changed something")
    check(world.state_of(store["id"], slot) == "free", "a refused booking left the room taken")
    boris.client.post(f"{API}/orders/{foreign}/cancel")
    world.tell(f"{tried} wrong requests were refused with their codes, and nothing changed.")


def _fingerprint(*clients: Client) -> list[bytes]:
    return [client.get(f"{API}/orders?limit=100").body for client in clients]


def _wrong_times(slot: Slot) -> Iterator[Refusal]:
    hour, day = timedelta(hours=1), timedelta(days=1)
    at = slot.start_at

    def span(label: str, code: str, start_at: datetime, end_at: datetime) -> Refusal:
        return Refusal(label, 422, code, Slot(slot.room_id, start_at, end_at).body)

    yield span("yesterday", "in_past", at - 8 * day, at - 8 * day + hour)
    yield span("an end before its start", "invalid_field", at + hour, at)
    yield span("an end at its start", "invalid_field", at, at)
    yield span("ten years", "too_long", at, at + 3650 * day)
    yield span("half an hour", "too_short", at, at + hour / 2)
    yield span("off the grid", "off_step", at + hour / 6, at + hour / 6 + 2 * hour)
    yield span("in a year", "too_far", at + 365 * day, at + 365 * day + 2 * hour)
    yield Refusal(
        "a time without offset", 422, "invalid_field", slot.body | {"start_at": "2030-01-01T10:00:00"}
    )


def _closed_doors(world: World) -> Iterator[Refusal]:
    """The middle store closes at eight and wants an hour of notice; somewhere a room is blocked."""
    middle = world.stores()[1]["id"]
    room_id = world.rooms(middle)[0]["id"]
    soon = next_half_hour(now() + timedelta(minutes=1))
    yield Refusal("too soon", 422, "too_soon", Slot(room_id, soon, soon + timedelta(hours=2)).body)
    morning = (now() + timedelta(days=2)).replace(hour=6, minute=30)
    yield Refusal("closed", 422, "closed", Slot(room_id, morning, morning + timedelta(hours=2)).body)
    blocked = _blocked_slot(world)
    if blocked is None:
        world.tell("No room is blocked in the coming days, so that refusal is not tried.")
    else:
        yield Refusal("blocked", 422, "blocked", blocked.body)


def _blocked_slot(world: World) -> Slot | None:
    first = now() + timedelta(hours=2)
    for store in world.stores():
        for room_id, spans in world.timelines(store["id"], first, first + timedelta(days=9)).items():
            for span in spans:
                start_at = next_half_hour(moment(span["start_at"]))
                if span["state"] == "blocked" and start_at + timedelta(hours=2) <= moment(span["end_at"]):
                    return Slot(room_id, start_at, start_at + timedelta(hours=2))
    return None


def _wrong_requests(slot: Slot, foreign: str) -> Iterator[Refusal]:
    good, json_type = slot.body, {"Content-Type": "application/json"}
    yield Refusal("an unknown field", 422, "invalid_field", good | {"price_fen": 1})
    yield Refusal("a missing field", 422, "invalid_field", {"room_id": slot.room_id})
    yield Refusal("a room that is not there", 404, "not_found", good | {"room_id": "999999"})
    yield Refusal("malformed JSON", 400, "malformed", raw=b'{"room_id": 1,', headers=json_type)
    yield Refusal("no JSON", 415, None, raw=b"x=1", headers={"Content-Type": "text/plain"})
    yield Refusal("a wrong method", 405, None, method="PUT", path="/stores", body={})
    yield Refusal("a foreign order", 404, "not_found", method="GET", path=f"/orders/{foreign}")
    yield Refusal("cancelling a foreign order", 404, "not_found", {}, path=f"/orders/{foreign}/cancel")
    wrong = {"channel": "wechat_jsapi"}
    yield Refusal("paying a foreign order", 404, "not_found", wrong, path=f"/orders/{foreign}/payments")
    code = {"voucher_code": "2222-3333-4444-5555-6666"}
    yield Refusal("a wrong voucher", 404, "not_found", good | code, path="/quotes")
    yield Refusal("a foreign voucher", 404, "not_found", method="GET", path="/vouchers/22223333444455556666")
