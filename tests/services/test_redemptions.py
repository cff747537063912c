"""Redemption at the desk: preview with reasons, confirm once, reverse within the window."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.domain.actor import Actor, StoreScope, staff_actor
from app.domain.states import BookingState, OrderStatus, RedemptionMethod, VoucherStatus
from app.domain.voucher_codes import new_code
from app.extensions import db, use_scope
from app.models import Booking, BookingPolicy, Customer, Recipient, Redemption, RedemptionAttempt, Voucher
from app.services import cancellations, doors, extensions, redemptions, stays, vouchers
from app.services.redemption_log import MAX_MISSES
from tests import factories
from tests.conftest import Door
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

LOG = ("redemption_attempts",)


@pytest.fixture
def voucher(shop: Shop) -> Voucher:
    """A voucher for 3 hours."""
    return shop.voucher()


@pytest.fixture
def cashier(shop: Shop) -> Actor:
    return shop.cashier()


def look(shop: Shop, cashier: Actor, **what: Any) -> dict[str, Any]:
    at = what.pop("at", shop.now)
    return redemptions.preview(what.pop("store_id", shop.store.id), actor=cashier, now=at, **what)


def redeem(shop: Shop, cashier: Actor, voucher: Voucher, *, at: Any = None) -> dict[str, Any]:
    """Preview and confirm into the shop's room."""
    seen = look(shop, cashier, code=voucher.code, at=at or shop.now)
    return redemptions.confirm(seen["nonce"], shop.room.id, actor=cashier, now=at or shop.now)


def outcomes(shop: Shop) -> list[tuple[str, str, str]]:
    return [(row.step, row.method, row.outcome) for row in shop.rows(RedemptionAttempt)]


def status_of(shop: Shop) -> VoucherStatus:
    return shop.rows(Voucher)[0].status  # type: ignore[no-any-return]


def test_voucher_is_good_in_the_minute_of_its_sale(shop: Shop, cashier: Actor) -> None:
    sold_at = shop.at(minutes=0.5)
    no = shop.group_order(shop.campaign(), at=sold_at)
    shop.pay(no, at=sold_at)

    (voucher,) = shop.vouchers(no)
    assert look(shop, cashier, code=voucher.code, at=shop.at(minutes=0.7))["valid"]


@pytest.mark.parametrize("way", ["typed", "scanned", "picked"])
def test_preview_shows_what_whose_and_where(shop: Shop, voucher: Voucher, cashier: Actor, way: str) -> None:
    customer = db.session.get(Customer, shop.customer.id)
    assert customer is not None
    customer.nickname, customer.phone = "王小明", "13800138000"
    db.session.commit()
    factories.make_room(shop.store)
    payload = vouchers.make_qr(voucher.code, customer_id=customer.id, now=shop.now)["payload"]
    what = {
        "typed": {"code": voucher.code.lower()},
        "scanned": {"code": payload},
        "picked": {"voucher_id": voucher.id},
    }

    with unchanged(except_tables=LOG):
        seen = look(shop, cashier, **what[way])

    assert (seen["valid"], seen["reasons"], len(seen["rooms"])) == (True, [], 2)
    assert seen["rooms"][0] == {
        "room_id": shop.room.id,
        "name": shop.room.name,
        "free_until_at": shop.at(27),
        "is_booked": False,
    }
    assert seen["customer"] == {"name": "王**", "phone": "*******8000"}
    assert seen["voucher"]["code_tail"] == voucher.code[-4:]
    assert voucher.code not in str(seen)
    assert outcomes(shop) == [("preview", way, "ok")]


def test_confirm_puts_the_customer_into_the_room(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    answer = redeem(shop, cashier, voucher)

    (redemption,) = shop.rows(Redemption)
    booking = shop.rows(Booking)[0]
    order = shop.order(answer["order_no"])
    assert answer["redemption_id"] == str(redemption.id)
    assert answer["room"] == {"id": str(shop.room.id), "name": shop.room.name}
    assert answer["end_at"] == shop.at(3).isoformat()
    assert answer["access"]["code"]
    assert (order.status, order.total_fen, order.customer_id) == (OrderStatus.IN_USE, 0, shop.customer.id)
    assert (booking.state, booking.start_at, booking.end_at) == (BookingState.IN_USE, shop.now, shop.at(3))
    assert status_of(shop) is VoucherStatus.REDEEMED
    assert shop.status(voucher.order.no) is OrderStatus.USED
    assert (redemption.method, redemption.staff_name) == (RedemptionMethod.TYPED, "林晓")
    assert "voucher_redeemed" in shop.notices(answer["order_no"])
    assert "voucher_redeemed" in shop.notices(answer["order_no"], Recipient.SHOP)
    assert outcomes(shop)[-1] == ("confirm", "typed", "ok")
    # Door codes and voucher codes are nowhere in clear.
    assert answer["access"]["code"] not in str(redemption.answer)


def test_same_nonce_same_answer(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    nonce = look(shop, cashier, code=voucher.code)["nonce"]
    first = redemptions.confirm(nonce, shop.room.id, actor=cashier, now=shop.now)

    with unchanged():
        # Also for another room, and after the nonce itself is too old.
        assert redemptions.confirm(nonce, 4711, actor=cashier, now=shop.at(24)) == first


def test_answer_is_given_after_a_crash_before_the_door(
    shop: Shop, voucher: Voucher, cashier: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonce = look(shop, cashier, code=voucher.code)["nonce"]

    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(doors, "open_room", die)
        with pytest.raises(KeyboardInterrupt):
            redemptions.confirm(nonce, shop.room.id, actor=cashier, now=shop.now)

    answer = redemptions.confirm(nonce, shop.room.id, actor=cashier, now=shop.now)

    assert answer["access"]["code"]
    assert len(shop.rows(Redemption)) == 1


def test_second_redemption_says_who_was_first(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    factories.make_room(shop.store)
    nonces = [look(shop, cashier, code=voucher.code)["nonce"] for _ in range(2)]
    redemptions.confirm(nonces[0], shop.room.id, actor=cashier, now=shop.now)

    with refused("voucher_already_redeemed", except_tables=LOG) as caught:
        redemptions.confirm(nonces[1], shop.room.id + 1, actor=cashier, now=shop.at(minutes=1))

    facts = {"redeemed_by": "林晓", "store": shop.store.name, "room": shop.room.name}
    assert caught.value.data == facts | {"redeemed_at": shop.now.isoformat()}
    seen = look(shop, cashier, code=voucher.code, at=shop.at(minutes=2))
    assert (seen["valid"], seen["nonce"]) == (False, None)
    assert seen["reasons"][0]["code"] == "voucher_already_redeemed"
    assert [row[2] for row in outcomes(shop)][2:] == [
        "ok",
        "voucher_already_redeemed",
        "voucher_already_redeemed",
    ]


REASONS: list[tuple[str, dict[str, Any], str]] = [
    ("weekday", {"weekdays": [6]}, "voucher_not_now"),
    ("band", {"bands": [{"start": "18:00", "end": "23:00"}]}, "voucher_not_now"),
    ("excluded day", {"excluded_on": ["2026-03-04"]}, "voucher_not_now"),
    ("full", {}, "room_taken"),
    ("expired", {"valid_days": 1}, "voucher_expired"),
    ("closed", {}, "closed"),
]


@pytest.mark.parametrize(("label", "terms", "code"), REASONS, ids=[row[0] for row in REASONS])
def test_preview_says_why_not(
    shop: Shop, cashier: Actor, label: str, terms: dict[str, Any], code: str
) -> None:
    voucher = shop.voucher(shop.campaign(**terms))
    at = shop.at(24) if label == "expired" else shop.now
    if label == "full":
        shop.book(1, 1, actor=shop.another_guest())
    if label == "closed":
        for row in shop.store.opening_hours:
            row.closes_minute = 13 * 60
        db.session.commit()

    seen = look(shop, cashier, code=voucher.code, at=at)

    assert (seen["valid"], seen["rooms"], seen["nonce"]) == (False, [], None)
    assert [reason["code"] for reason in seen["reasons"]] == [code]
    assert outcomes(shop)[-1][2] == code


def test_preview_in_a_store_where_it_is_not_good(shop: Shop, voucher: Voucher) -> None:
    other = factories.make_room()
    cashier = shop.cashier(other.store)

    seen = look(shop, cashier, code=voucher.code, store_id=other.store_id)

    assert [reason["code"] for reason in seen["reasons"]] == ["voucher_not_here"]


def test_preview_of_a_voucher_in_refund(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    row = shop.rows(Voucher)[0]
    row.status = VoucherStatus.REFUNDING
    db.session.commit()

    seen = look(shop, cashier, code=voucher.code)

    assert [reason["code"] for reason in seen["reasons"]] == ["voucher_not_now"]


def test_preview_refused(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    elsewhere = factories.make_room()
    stranger = shop.cashier(elsewhere.store, username="stranger")

    with refused("not_found", except_tables=LOG):
        look(shop, cashier, code=new_code())
    with refused("not_found", except_tables=LOG):
        look(shop, cashier, code="hello")
    with refused("invalid_field", except_tables=LOG):
        look(shop, cashier)
    with refused("invalid_field", except_tables=LOG):
        look(shop, cashier, code=voucher.code, voucher_id=voucher.id)
    with refused("forbidden"):
        look(shop, stranger, code=voucher.code)
    # What is not sold for their stores, staff cannot pick.
    with refused("not_found", except_tables=LOG):
        look(shop, stranger, voucher_id=voucher.id, store_id=elsewhere.store_id)


def test_wrong_codes_are_limited_by_staff_and_address(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    for _ in range(MAX_MISSES):
        with pytest.raises(Exception, match="not_found"):
            look(shop, cashier, code=new_code(), address="10.0.0.1")
    colleague = shop.cashier(username="colleague")

    with refused("rate_limited") as caught:
        look(shop, cashier, code=voucher.code, address="10.0.0.2")
    assert caught.value.data == {"retry_after_seconds": 60}
    with refused("rate_limited"):
        look(shop, colleague, code=voucher.code, address="10.0.0.1")
    assert look(shop, colleague, code=voucher.code, address="10.0.0.2")["valid"]
    assert look(shop, cashier, code=voucher.code, address="10.0.0.1", at=shop.at(minutes=1))["valid"]


def test_confirm_refused(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    other = factories.make_room()
    colleague = shop.cashier(username="colleague")
    nonce = look(shop, cashier, code=voucher.code)["nonce"]

    with refused("invalid_field"):
        redemptions.confirm("nonsense", shop.room.id, actor=cashier, now=shop.now)
    with refused("forbidden"):
        redemptions.confirm(nonce, shop.room.id, actor=colleague, now=shop.now)
    with refused("not_found", except_tables=LOG):
        redemptions.confirm(nonce, other.id, actor=cashier, now=shop.now)
    with refused("invalid_field", except_tables=LOG):
        redemptions.confirm(nonce, shop.room.id, actor=cashier, now=shop.at(minutes=15))
    shop.book(1, 1, actor=shop.another_guest())
    with refused("room_taken", except_tables=LOG):
        redemptions.confirm(nonce, shop.room.id, actor=cashier, now=shop.now)
    assert outcomes(shop)[-1] == ("confirm", "typed", "room_taken")


def test_confirm_takes_the_room_from_a_hold_that_ran_out(
    shop: Shop, voucher: Voucher, cashier: Actor
) -> None:
    stale = shop.book(1, 1, actor=shop.another_guest())
    later = shop.at(minutes=15)

    redeem(shop, cashier, voucher, at=later)

    assert shop.status(stale) is OrderStatus.CANCELLED


def test_locked_voucher_is_redeemed_into_its_booking(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    other = factories.make_room(shop.store)
    no = shop.book(1, 3, voucher_code=voucher.code)
    seen = look(shop, cashier, voucher_id=voucher.id)
    assert [(room["room_id"], room["is_booked"]) for room in seen["rooms"]] == [(shop.room.id, True)]
    with refused("invalid_field", except_tables=LOG):
        redemptions.confirm(seen["nonce"], other.id, actor=cashier, now=shop.now)

    answer = redemptions.confirm(seen["nonce"], shop.room.id, actor=cashier, now=shop.now)

    assert (answer["order_no"], shop.status(no)) == (no, OrderStatus.IN_USE)
    assert status_of(shop) is VoucherStatus.REDEEMED
    assert shop.rows(Redemption)[0].method is RedemptionMethod.PICKED


def test_locked_voucher_waits_for_the_confirmation_of_its_booking(shop: Shop, cashier: Actor) -> None:
    shop.rows(BookingPolicy)[0].requires_confirmation = True
    db.session.commit()
    voucher = shop.voucher()
    no = shop.book(1, 3, voucher_code=voucher.code)
    nonce = look(shop, cashier, code=voucher.code)["nonce"]

    with refused("invalid_transition", except_tables=LOG):
        redemptions.confirm(nonce, shop.room.id, actor=cashier, now=shop.now)
    cancellations.confirm_order(no, actor=cashier, now=shop.now)
    assert redemptions.confirm(nonce, shop.room.id, actor=cashier, now=shop.now)["order_no"] == no


def test_reversal_frees_the_room_and_restores_the_voucher(
    shop: Shop, voucher: Voucher, cashier: Actor
) -> None:
    answer = redeem(shop, cashier, voucher)

    reversal_id = redemptions.reverse(
        int(answer["redemption_id"]), reason="开错包间", actor=cashier, now=shop.at(minutes=30)
    )

    first, reversal = shop.rows(Redemption)
    assert (reversal.id, reversal.reverses_id, reversal.reason) == (reversal_id, first.id, "开错包间")
    assert (status_of(shop), shop.rows(Voucher)[0].booking_order_id) == (VoucherStatus.ISSUED, None)
    assert shop.status(answer["order_no"]) is OrderStatus.CANCELLED
    assert shop.rows(Booking)[0].state is BookingState.RELEASED
    assert shop.status(voucher.order.no) is OrderStatus.ISSUED
    assert shop.notices(voucher.order.no)[-1] == "redemption_reversed"
    again = redeem(shop, cashier, voucher, at=shop.at(minutes=31))
    assert again["order_no"] != answer["order_no"]
    assert redemptions.reverse(
        int(again["redemption_id"]), reason="再来", actor=cashier, now=shop.at(minutes=32)
    )


def test_reversal_refused(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    number = int(redeem(shop, cashier, voucher)["redemption_id"])
    stranger = staff_actor(cashier.id or 0, "", StoreScope(store_ids=frozenset({999})))
    last = shop.at(minutes=30)

    with refused("invalid_field"):
        redemptions.reverse(number, reason=" ", actor=cashier, now=last)
    with refused("not_found"):
        redemptions.reverse(4711, reason="x", actor=cashier, now=last)
    with refused("not_found"):
        redemptions.reverse(number, reason="x", actor=stranger, now=last)
    with refused("invalid_transition"):
        redemptions.reverse(number, reason="x", actor=cashier, now=last + timedelta(seconds=1))
    reversal_id = redemptions.reverse(number, reason="x", actor=cashier, now=last)
    for each, code in ((number, "invalid_transition"), (reversal_id, "not_found")):
        with refused(code):
            redemptions.reverse(each, reason="again", actor=cashier, now=last)


def test_reversal_of_a_use_that_is_over_is_refused(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    answer = redeem(shop, cashier, voucher)
    stays.check_out(answer["order_no"], actor=cashier, now=shop.at(minutes=10))

    with refused("invalid_transition"):
        redemptions.reverse(int(answer["redemption_id"]), reason="x", actor=cashier, now=shop.at(minutes=11))


@pytest.mark.parametrize("is_by_staff", [False, True], ids=["checked in", "at the desk"])
def test_reversal_of_a_booked_use_is_refused(
    shop: Shop, voucher: Voucher, cashier: Actor, is_by_staff: bool
) -> None:
    no = shop.book(0, 3, voucher_code=voucher.code)
    if is_by_staff:
        redeem(shop, cashier, voucher)
    else:
        stays.check_in(no, actor=shop.guest, now=shop.now)

    with refused("invalid_transition"):
        redemptions.reverse(shop.rows(Redemption)[0].id, reason="x", actor=cashier, now=shop.now)


def test_desk_works_inside_the_scope_of_a_cashier(shop: Shop, voucher: Voucher, cashier: Actor) -> None:
    # Back-office requests read only the stores of whoever is logged in.
    with use_scope(cashier.scope):
        answer = redeem(shop, cashier, voucher)
        assert redemptions.reverse(int(answer["redemption_id"]), reason="x", actor=cashier, now=shop.now)


def test_door_that_does_not_answer_is_part_of_the_answer(
    shop: Shop, voucher: Voucher, cashier: Actor, door: Door
) -> None:
    door.is_silent = True

    answer = redeem(shop, cashier, voucher)

    assert answer["access"] is None
    assert shop.events(answer["order_no"])[-1] == "door_failed"


def test_reversal_gives_back_what_was_paid_for_more_time(
    shop: Shop, voucher: Voucher, cashier: Actor
) -> None:
    done = redeem(shop, cashier, voucher)
    no = done["order_no"]
    extensions.extend_order(no, shop.at(4), actor=shop.guest, now=shop.now)
    shop.pay(no)
    extensions.extend_order(no, shop.at(5), actor=shop.guest, now=shop.now)

    redemptions.reverse(int(done["redemption_id"]), reason="wrong room", actor=cashier, now=shop.at(0, 10))

    assert (shop.status(no), shop.order(no).pending_change) == (OrderStatus.REFUNDING, None)
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.paid_fen, order.refunded_fen) == (OrderStatus.REFUNDED, 6000, 6000)
    assert status_of(shop) is VoucherStatus.ISSUED
    # Nothing of it is held any more.
    shop.book(0, 5)
