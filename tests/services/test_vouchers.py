"""Vouchers in bookings: locked, unlocked, redeemed at check-in; finding and showing them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.domain.states import OrderStatus, RedemptionMethod, VoucherStatus
from app.domain.voucher_codes import grouped_code
from app.extensions import db
from app.models import Booking, Redemption, Voucher
from app.services import orders, quotes, stays, vouchers
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop


@pytest.fixture
def voucher(shop: Shop) -> Voucher:
    """A voucher for 3 hours in any room of the store."""
    return shop.voucher()


def now_of(shop: Shop) -> Voucher:
    (row,) = shop.rows(Voucher)
    return row  # type: ignore[no-any-return]


def test_quote_shows_what_the_voucher_pays(shop: Shop, voucher: Voucher) -> None:
    request = shop.request(3, 3, voucher_code=grouped_code(voucher.code).lower())

    quote = quotes.quote_booking(request, actor=shop.guest, now=shop.now)

    assert quote["total_fen"] == 0
    assert [(line["kind"], line["amount_fen"]) for line in quote["lines"]] == [
        ("hourly", 18000),
        ("voucher", -18000),
    ]


def test_quote_with_a_voucher_needs_its_owner(shop: Shop, voucher: Voucher) -> None:
    request = shop.request(3, 3, voucher_code=voucher.code)
    stranger = shop.another_guest()

    with refused("not_found"):
        quotes.quote_booking(request, actor=None, now=shop.now)
    with refused("not_found"):
        quotes.quote_booking(request, actor=stranger, now=shop.now)


def test_booking_locks_the_voucher_and_is_confirmed_at_once(shop: Shop, voucher: Voucher) -> None:
    no = shop.book(3, 3, voucher_code=voucher.code)

    order = shop.order(no)
    assert (order.status, order.total_fen, order.discount_fen) == (OrderStatus.AWAITING_USE, 0, 18000)
    row = now_of(shop)
    assert (row.status, row.booking_order_id) == (VoucherStatus.LOCKED, order.id)
    shown = orders.get_order(no, customer_id=shop.customer.id, now=shop.now)
    assert [item["code"] for item in shown["vouchers"]] == [voucher.code]


def test_locked_voucher_loses_the_second_booking(shop: Shop, voucher: Voucher) -> None:
    shop.book(3, 3, voucher_code=voucher.code)

    with refused("voucher_locked"):
        shop.book(8, 3, voucher_code=voucher.code)


def test_check_in_redeems_the_voucher(shop: Shop, voucher: Voucher) -> None:
    no = shop.book(3, 3, voucher_code=voucher.code)

    stays.check_in(no, actor=shop.guest, now=shop.at(3))

    assert now_of(shop).status is VoucherStatus.REDEEMED
    (redemption,) = shop.rows(Redemption)
    assert (redemption.method, redemption.staff_id, redemption.room_id) == (
        RedemptionMethod.SELF,
        None,
        shop.room.id,
    )
    assert shop.status(now_of(shop).order.no) is OrderStatus.USED
    assert shop.notices(no)[-1] == "voucher_redeemed"
    with refused("voucher_already_redeemed") as caught:
        shop.book(8, 3, voucher_code=voucher.code)
    assert caught.value.data is not None and caught.value.data["room"] == shop.room.name


USES: list[tuple[str, dict[str, Any], float, float, str]] = [
    ("too short", {}, 3, 2.5, "voucher_length"),
    ("too long", {}, 3, 3.5, "voucher_length"),
    ("another weekday", {"weekdays": [0]}, 3, 3, "voucher_not_now"),
    ("outside the bands", {"bands": [{"start": "08:00", "end": "16:00"}]}, 3, 3, "voucher_not_now"),
    ("an excluded day", {"excluded_on": ["2026-03-04"]}, 3, 3, "voucher_not_now"),
    ("taken", {}, 3, 3, "room_taken"),
]


@pytest.mark.parametrize(("label", "terms", "start", "hours", "code"), USES, ids=[row[0] for row in USES])
def test_booking_outside_the_terms_is_refused(
    shop: Shop, label: str, terms: dict[str, Any], start: float, hours: float, code: str
) -> None:
    voucher = shop.voucher(shop.campaign(**terms))
    if label == "taken":
        shop.book(4, 1, actor=shop.another_guest())

    with refused(code) as caught:
        shop.book(start, hours, voucher_code=voucher.code)
    assert caught.value.data is not None and caught.value.data["alternatives"]


def test_booking_in_a_room_that_the_terms_leave_out_is_refused(shop: Shop) -> None:
    other = factories.make_room(shop.store)
    campaign = shop.campaign(rooms=[other])
    voucher = shop.voucher(campaign)

    with refused("voucher_not_here"):
        shop.book(3, 3, voucher_code=voucher.code)
    assert shop.book(3, 3, voucher_code=voucher.code, room_id=other.id)


def test_booking_after_the_validity_is_refused(shop: Shop) -> None:
    voucher = shop.voucher(shop.campaign(valid_days=2))
    late = shop.at(48)

    assert voucher.valid_until_at == late
    with refused("voucher_expired"):
        shop.book(49, 3, voucher_code=voucher.code)
    with refused("voucher_expired"):
        shop.book(49, 3, voucher_code=voucher.code, at=late)
    assert shop.book(47.5, 3, voucher_code=voucher.code)


def test_sold_vouchers_keep_their_terms(shop: Shop) -> None:
    campaign = shop.campaign()
    no = shop.group_order(campaign)
    campaign.package_minutes, campaign.weekdays, campaign.valid_days = 60, [6], 1
    campaign.price_fen = 100
    db.session.commit()

    shop.pay(no)

    (voucher,) = shop.vouchers(no)
    assert (voucher.terms["minutes"], voucher.terms["weekdays"]) == (180, [])
    assert (voucher.price_fen, voucher.valid_until_at) == (9900, shop.at(24 * 30))


def test_list_and_get_show_only_ones_own(shop: Shop, voucher: Voucher) -> None:
    stranger = factories.make_customer()

    (item,) = vouchers.list_vouchers(shop.customer.id)["items"]
    assert item == vouchers.get_voucher(voucher.code, customer_id=shop.customer.id)
    assert (item["status"], item["order_no"], item["booking_no"]) == ("issued", voucher.order.no, None)
    assert item["usable_rooms"] == [shop.room.id]
    assert item["campaign"]["package"]["minutes"] == 180
    assert vouchers.list_vouchers(shop.customer.id, status="redeemed")["items"] == []
    assert vouchers.list_vouchers(stranger.id)["items"] == []
    with refused("not_found"):
        vouchers.get_voucher(voucher.code, customer_id=stranger.id)
    with refused("invalid_field"):
        vouchers.list_vouchers(shop.customer.id, status="lost")


def test_list_pages_through_everything_once(shop: Shop) -> None:
    campaign = shop.campaign()
    no = shop.group_order(campaign, quantity=5)
    shop.pay(no)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = vouchers.list_vouchers(shop.customer.id, cursor=cursor, limit=2)
        seen += [item["code"] for item in page["items"]]
        cursor = page["next_cursor"]

    assert cursor is None
    assert seen == [row.code for row in reversed(shop.rows(Voucher))]


def test_shown_with_its_redemption(shop: Shop, voucher: Voucher) -> None:
    no = shop.book(3, 3, voucher_code=voucher.code)
    locked = vouchers.get_voucher(voucher.code, customer_id=shop.customer.id)
    assert (locked["status"], locked["booking_no"], locked["redemption"]) == ("locked", no, None)
    stays.check_in(no, actor=shop.guest, now=shop.at(3))

    shown = vouchers.get_voucher(voucher.code, customer_id=shop.customer.id)

    assert shown["redemption"] == {
        "at": shop.at(3),
        "store_id": shop.store.id,
        "room_id": shop.room.id,
        "method": "self",
    }


def test_qr_is_good_for_five_minutes_and_not_forgeable(shop: Shop, voucher: Voucher) -> None:
    qr = vouchers.make_qr(voucher.code, customer_id=shop.customer.id, now=shop.now)

    assert qr["svg"].startswith("<svg") and qr["expires_at"] == shop.at(minutes=5)
    last = shop.at(minutes=5) - timedelta(seconds=1)
    found = vouchers.find_by_scan(qr["payload"], now=last)
    assert found is not None and found.id == voucher.id
    with refused("voucher_expired"):
        vouchers.find_by_scan(qr["payload"], now=shop.at(minutes=5))
    head, _, signature = qr["payload"].rpartition(".")
    other_end = "0" if signature[-1] != "0" else "1"
    forged = [f"{head}.{signature[:-1]}{other_end}", f"{head}0.{signature}", "QF1.x.y.z", "QF1.1.2", ""]
    assert [vouchers.find_by_scan(text, now=shop.now) for text in forged] == [None] * 5


def test_codes_are_never_kept_in_clear(shop: Shop, voucher: Voucher) -> None:
    shop.book(3, 3, voucher_code=voucher.code)
    with db.engine.connect() as connection:
        columns = [
            str(row)
            for table in (Voucher.__table__, Booking.__table__)
            for row in connection.exec_driver_sql(f"SELECT * FROM {table.name}")
        ]

    assert columns and not any(voucher.code in text for text in columns)
