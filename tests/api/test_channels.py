"""Ways of paying in the interface: told with the store, refused where they are off."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from app.domain.actor import SYSTEM
from app.extensions import db
from app.models import Payment, Room
from app.services import channel_settings
from tests import factories
from tests.api.conftest import LogIn, Till
from tests.api.contract import ContractClient
from tests.services.counter import register_service

START, END = "2026-03-04T18:00:00+08:00", "2026-03-04T20:00:00+08:00"


def switch(room: Room, *, is_on: bool, now: datetime) -> None:
    channel_settings.switch_channel("wechat_pay", is_on=is_on, store_id=room.store_id, actor=SYSTEM, now=now)


def test_a_channel_that_is_off_is_neither_told_nor_taken(
    api: ContractClient, log_in: LogIn, till: Till, now: datetime
) -> None:
    register_service(now)
    room, headers = factories.make_room(), log_in()
    store, body = f"/api/v1/stores/{room.store_id}", {"start_at": START, "end_at": END}
    no = api.post("/api/v1/bookings", json=body | {"room_id": str(room.id)}, headers=headers).json["no"]
    paths = f"/api/v1/orders/{no}/payments"
    before = api.get(store)
    assert before.json["channels"] == ["wechat_jsapi", "wechat_native"]

    switch(room, is_on=False, now=now)

    # Who kept the page of the store gets a new one.
    told = api.get(store, headers={"If-None-Match": before.headers["ETag"]})
    assert (told.status_code, told.json["channels"]) == (200, [])
    refused = api.post(paths, json={"channel": "wechat_jsapi"}, headers=headers)
    assert (refused.status_code, refused.json["code"]) == (422, "channel_off")
    assert list(refused.json["errors"]) == ["channel"]
    assert (db.session.scalars(select(Payment)).all(), till.created) == ([], [])

    switch(room, is_on=True, now=now)
    assert api.post(paths, json={"channel": "wechat_jsapi"}, headers=headers).status_code == 201
