"""Stores, rooms, prices, policies and blocks of the example chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.slots import Span, local_instant
from app.models import (
    BookingPolicy,
    BookingSession,
    DayKind,
    Facility,
    Media,
    MediaKind,
    OpeningHours,
    PriceKind,
    PriceRule,
    PriceScope,
    Room,
    RoomBlock,
    RoomFacility,
    RoomType,
    Store,
)
from app.services.demo import catalogue
from app.services.demo.batch import Batch
from app.services.demo.catalogue import DemoRoom, DemoStore
from app.services.demo.pictures import Gallery

ZONE = ZoneInfo("Asia/Shanghai")
EVENING = (18 * 60, 24 * 60)
# Of two rules of one room type the higher priority wins: the evening over the day, the night over both.
EVENING_PRIORITY, PACKAGE_PRIORITY = 10, 20

CANCEL_STEPS: list[dict[str, Any]] = [
    {"minutes_before": 120, "fee_percent": 0},
    {"minutes_before": 0, "fee_percent": 30},
    {"minutes_before": None, "fee_percent": 100},
]
CHANGE_STEPS: list[dict[str, Any]] = [
    {"minutes_before": 240, "fee_percent": 0},
    {"minutes_before": 60, "fee_percent": 10},
    {"minutes_before": 0, "fee_percent": 50},
]

# (store, room, first day from today, start minute, minutes, reason): never where a quiet room would be lost.
BLOCKS = (
    (0, 2, -46, 10 * 60, 240, "麻将机保养"),
    (1, 4, -33, 9 * 60, 480, "投影安装"),
    (2, 0, -18, 10 * 60, 300, "门锁更换"),
    (0, 1, -9, 13 * 60, 180, "空调清洗"),
    (0, 2, 3, 10 * 60, 240, "麻将机保养"),
    (1, 0, 1, 9 * 60, 180, "空调清洗"),
    (2, 1, 6, 0, 1440, "墙面翻新"),
)


@dataclass
class Shops:
    """The keys of what was added, in the order of the catalogue."""

    store_ids: list[int] = field(default_factory=list)
    room_type_ids: dict[str, int] = field(default_factory=dict)
    room_ids: list[list[int]] = field(default_factory=list)
    quiet_room_ids: set[int] = field(default_factory=set)
    session_ids: list[int] = field(default_factory=list)
    blocks: dict[int, list[Span]] = field(default_factory=dict)


def add_shops(batch: Batch, gallery: Gallery, today: date) -> Shops:
    """Collect every store with what belongs to it."""
    shops = Shops()
    for name in catalogue.ROOM_TYPES:
        shops.room_type_ids[name] = batch.add(RoomType, name=name)
    facility_ids = {name: batch.add(Facility, name=name) for name in catalogue.FACILITIES}
    for index, store in enumerate(catalogue.STORES):
        store_id = _add_store(batch, gallery, store)
        shops.store_ids.append(store_id)
        room_ids = [
            _add_room(batch, gallery, store_id, store, position, shops, facility_ids)
            for position in range(len(store.rooms))
        ]
        shops.room_ids.append(room_ids)
        is_middle = index == catalogue.MIDDLE
        _add_opening(batch, store_id, today, is_middle=is_middle)
        _add_policies(batch, store_id, room_ids, is_middle=is_middle)
        _add_hourly_rates(batch, store_id, store, shops, is_middle=is_middle)
        if is_middle:
            _add_flat_prices(batch, store_id, shops)
    _add_blocks(batch, shops, today)
    return shops


def _add_store(batch: Batch, gallery: Gallery, store: DemoStore) -> int:
    store_id = batch.add(
        Store,
        name=store.name,
        city=store.city,
        address=store.address,
        lat=store.lat,
        lng=store.lng,
        phone=store.phone,
        wifi=store.wifi,
        introduction=store.introduction,
        transport=store.transport,
        logo_url=gallery.logo(store),
    )
    pictures = (
        (MediaKind.OVERVIEW, gallery.store_view(store, 0), "门店入口"),
        (MediaKind.AMBIENCE, gallery.store_view(store, 1), "公共茶水区"),
        (MediaKind.AMBIENCE, gallery.store_view(store, 2), "走廊一角"),
    )
    _add_media(batch, pictures, store_id=store_id)
    return store_id


def _add_media(batch: Batch, pictures: tuple[tuple[MediaKind, str, str], ...], **owner: int) -> None:
    for position, (kind, url, caption) in enumerate(pictures):
        batch.add(
            Media,
            kind=kind,
            url=url,
            caption=caption,
            position=position,
            is_cover=position == 0,
            **owner,
        )


def _add_room(
    batch: Batch,
    gallery: Gallery,
    store_id: int,
    store: DemoStore,
    position: int,
    shops: Shops,
    facility_ids: dict[str, int],
) -> int:
    room = store.rooms[position]
    is_large = room.capacity >= 10
    room_id = batch.add(
        Room,
        store_id=store_id,
        room_type_id=shops.room_type_ids[room.room_type],
        name=room.name,
        area_m2=room.area_m2,
        capacity=room.capacity,
        decor_style=room.decor_style,
        description=f"{room.decor_style}风格。{catalogue.DESCRIPTIONS[room.room_type]}",
        cleaning_minutes=20 if is_large else 10,
        position=position,
    )
    if room.is_quiet:
        shops.quiet_room_ids.add(room_id)
    _add_facilities(batch, room_id, room, facility_ids)
    pictures = (
        (MediaKind.OVERVIEW, gallery.room_view(store, position, 0), f"{room.name} 全景"),
        (MediaKind.ANGLE, gallery.room_view(store, position, 1), "另一角度"),
        (MediaKind.FACILITY, gallery.room_view(store, position, 2), f"{room.table_brand}全自动麻将机"),
    )
    _add_media(batch, pictures, store_id=store_id, room_id=room_id)
    return room_id


def _add_facilities(batch: Batch, room_id: int, room: DemoRoom, facility_ids: dict[str, int]) -> None:
    for name in catalogue.FACILITIES_BY_TYPE[room.room_type]:
        brand, remark = catalogue.FACILITIES[name][room.room_type in ("豪华包", "VIP")]
        if name == "自动麻将机":
            brand = room.table_brand
        batch.add(RoomFacility, room_id=room_id, facility_id=facility_ids[name], brand=brand, remark=remark)


def _add_opening(batch: Batch, store_id: int, today: date, *, is_middle: bool) -> None:
    """Two stores never close; the middle one opens at 9 and closes at 8 the next morning."""
    opens, closes = (9 * 60, 32 * 60) if is_middle else (0, 1440)
    for weekday in range(7):
        batch.add(OpeningHours, store_id=store_id, weekday=weekday, opens_minute=opens, closes_minute=closes)
    if is_middle:
        # One day on which everything is cleaned thoroughly, beyond what anybody can book already.
        special = today + timedelta(days=24)
        batch.add(
            OpeningHours, store_id=store_id, on_date=special, opens_minute=14 * 60, closes_minute=24 * 60
        )


def _add_policies(batch: Batch, store_id: int, room_ids: list[int], *, is_middle: bool) -> None:
    policy: dict[str, Any] = {
        "store_id": store_id,
        "min_lead_minutes": 60 if is_middle else 30,
        "max_ahead_days": 21 if is_middle else 30,
        "min_minutes": 120 if is_middle else 60,
        "max_minutes": 720,
        "start_step_minutes": 30,
        "length_step_minutes": 30,
        "buffer_after_minutes": 15,
        "hold_minutes": 15,
        "max_open_holds": 3 if is_middle else 8,
        "max_bookings_per_day": 4 if is_middle else 30,
        "requires_confirmation": is_middle,
        "confirm_deadline_minutes": 60,
        "check_in_early_minutes": 15,
        "cancel_steps": CANCEL_STEPS,
        "change_steps": CHANGE_STEPS,
    }
    batch.add(BookingPolicy, **policy)
    # The largest room of a store takes longer to clean, and its guests may come earlier.
    override = {"room_id": room_ids[-1], "buffer_after_minutes": 30, "check_in_early_minutes": 30}
    batch.add(BookingPolicy, **policy | override)


def _add_hourly_rates(
    batch: Batch, store_id: int, store: DemoStore, shops: Shops, *, is_middle: bool
) -> None:
    """Weekday, weekday evening, weekend and holiday for every room type, and a rate for whatever is left."""
    kinds = (
        ("平日", DayKind.WEEKDAY, (0, 0), 0),
        ("平日晚间", DayKind.WEEKDAY, EVENING, EVENING_PRIORITY),
        ("周末", DayKind.WEEKEND, (0, 0), 0),
        ("节假日", DayKind.HOLIDAY, (0, 0), 0),
    )
    # A minimum and a cap belong to the store that sells flat prices; the others charge by the hour alone.
    limits = {"minimum_fen": 9800, "day_cap_fen": 88800} if is_middle else {}
    for room_type in catalogue.ROOM_TYPES:
        for (label, day_kind, band, priority), yuan in zip(kinds, store.rates[room_type], strict=True):
            batch.add(
                PriceRule,
                store_id=store_id,
                name=f"{room_type}·{label}",
                scope=PriceScope.ROOM_TYPE,
                room_type_id=shops.room_type_ids[room_type],
                day_kind=day_kind,
                band_start_minute=band[0],
                band_end_minute=band[1],
                amount_fen=yuan * 100,
                priority=priority,
                **limits,
            )
    batch.add(PriceRule, store_id=store_id, name="通用价", amount_fen=6800)


def _add_flat_prices(batch: Batch, store_id: int, shops: Shops) -> None:
    for each in catalogue.SESSIONS:
        session_id = batch.add(
            BookingSession,
            store_id=store_id,
            name=each.name,
            start_minute=each.start_minute,
            length_minutes=each.length_minutes,
        )
        shops.session_ids.append(session_id)
        values = {"kind": PriceKind.SESSION, "session_id": session_id}
        for label, day_kind, yuan in (
            ("平日", DayKind.WEEKDAY, each.weekday_yuan),
            ("周末", DayKind.WEEKEND, each.weekend_yuan),
            ("节假日", DayKind.HOLIDAY, each.weekend_yuan + 30),
        ):
            _add_by_type(batch, store_id, shops, f"{each.name}{label}", yuan, day_kind=day_kind, **values)
    night = {"band_start_minute": 23 * 60, "band_end_minute": 0, "package_minutes": 480}
    lunch = {"band_start_minute": 10 * 60, "band_end_minute": 15 * 60, "package_minutes": 240}
    package = {"kind": PriceKind.PACKAGE, "priority": PACKAGE_PRIORITY}
    _add_by_type(batch, store_id, shops, "23 点通宵 8 小时", 188, **package, **night)
    _add_by_type(batch, store_id, shops, "平日畅打 4 小时", 118, day_kind=DayKind.WEEKDAY, **package, **lunch)


def _add_by_type(batch: Batch, store_id: int, shops: Shops, name: str, yuan: int, **values: Any) -> None:
    """Collect one flat price for each room type, in proportion to the small room's."""
    for room_type, percent in catalogue.TYPE_PERCENT.items():
        batch.add(
            PriceRule,
            store_id=store_id,
            name=f"{room_type}·{name}",
            scope=PriceScope.ROOM_TYPE,
            room_type_id=shops.room_type_ids[room_type],
            amount_fen=yuan * percent // 100 * 100,
            **values,
        )


def _add_blocks(batch: Batch, shops: Shops, today: date) -> None:
    for store, room, offset, start_minute, minutes, reason in BLOCKS:
        start_at = local_instant(today + timedelta(days=offset), start_minute, ZONE)
        span = Span(start_at, start_at + timedelta(minutes=minutes))
        room_id = shops.room_ids[store][room]
        shops.blocks.setdefault(room_id, []).append(span)
        batch.add(
            RoomBlock,
            store_id=shops.store_ids[store],
            room_id=room_id,
            start_at=span.start_at,
            end_at=span.end_at,
            reason=reason,
        )
