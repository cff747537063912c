"""The example data: complete, consistent, the same for a day, and good to book in at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import func, select, text
from werkzeug.security import check_password_hash

from app import gateways
from app.domain.actor import ALL_STORES, customer_actor, staff_actor
from app.domain.errors import LimitReached
from app.domain.pricing import quote_span
from app.domain.slots import Span, local_date, local_instant, local_minute
from app.domain.states import (
    COUNTER_CHANNELS,
    OCCUPYING_STATES,
    BookingState,
    CampaignStatus,
    OrderKind,
    OrderStatus,
    PaymentChannel,
    PaymentStatus,
    RefundRequestStatus,
    RefundStatus,
    ShiftStatus,
    VoucherStatus,
)
from app.extensions import db, use_scope
from app.models import (
    Booking,
    BookingPolicy,
    BookingSession,
    Campaign,
    CampaignBuyer,
    CounterEntry,
    Customer,
    Media,
    Order,
    Payment,
    PriceRule,
    Refund,
    RefundRequest,
    Room,
    RoomBlock,
    Shift,
    Staff,
    Store,
    Voucher,
)
from app.services import (
    abnormal_refunds,
    bookings,
    clockwork,
    counter,
    group_orders,
    orders,
    payments,
    quotes,
    redemptions,
    refund_requests,
    refunds,
    shifts,
    teams,
    today,
)
from app.services.demo import load_demo
from app.services.store_config import load_price_book, load_room, load_store_rooms
from app.services.unit_of_work import session
from tests.conftest import empty_tables
from tests.services.free_hours import hours_free

# One process loads once for all of these tests.
pytestmark = pytest.mark.xdist_group("demo")

ZONE = ZoneInfo("Asia/Shanghai")
# Wednesday noon in Shanghai.
NOON = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)
FIRST, MIDDLE, LAST = 1, 2, 3


@pytest.fixture(scope="module")
def loaded(migrated_app: Flask) -> Iterator[Flask]:
    """The example data as of noon; tests leave it as they find it, or add to it."""
    with migrated_app.app_context(), use_scope(ALL_STORES):
        empty_tables()
        assert load_demo(now=NOON)
        yield migrated_app
        db.session.remove()


@pytest.fixture
def demo(loaded: Flask) -> Iterator[Flask]:
    """The example data with a fresh session and every store in scope."""
    with use_scope(ALL_STORES):
        db.session.remove()
        yield loaded
        db.session.remove()


def test_chain_is_three_stores_in_two_cities_with_twenty_rooms(demo: Flask) -> None:
    stores = session().scalars(select(Store).order_by(Store.id)).all()
    assert [store.id for store in stores] == [FIRST, MIDDLE, LAST]
    assert len({store.city for store in stores}) == 2
    for store in stores:
        assert store.address and store.phone and store.wifi and store.transport and store.introduction
        assert store.lat and store.lng and store.logo_url and store.opening_hours
    rooms = session().scalars(select(Room)).all()
    assert len(rooms) == 20
    assert len({room.room_type_id for room in rooms}) == 5
    assert all(room.area_m2 and room.decor_style and room.description for room in rooms)
    assert all(any(each.brand for each in room.facilities) for room in rooms)


def test_pictures_are_small_files_with_one_cover_for_each_place(demo: Flask) -> None:
    media = session().scalars(select(Media)).all()
    places = {(each.store_id, each.room_id) for each in media}
    assert len(places) == 23
    assert len([each for each in media if each.is_cover]) == len(places)
    assert all(each.caption for each in media)
    storage = gateways.media_storage()
    covers = session().scalars(select(Campaign.cover_url)).all()
    for url in {each.url for each in media} | set(covers):
        content = storage.read(url.removeprefix("/media/"))
        assert len(content) <= 40_000
        picture = Image.open(BytesIO(content))
        assert (picture.format, picture.size) == ("WEBP", (720, 480))


@pytest.mark.parametrize("store_id", [FIRST, LAST])
def test_outer_stores_sell_by_the_hour_and_confirm_by_themselves(demo: Flask, store_id: int) -> None:
    kinds = set(session().scalars(select(PriceRule.kind).where(PriceRule.store_id == store_id)))
    assert {kind.value for kind in kinds} == {"hourly"}
    policies = session().scalars(select(BookingPolicy).where(BookingPolicy.store_id == store_id)).all()
    assert len(policies) == 2
    for policy in policies:
        assert (policy.start_step_minutes, policy.length_step_minutes) == (30, 30)
        assert (policy.min_minutes, policy.max_minutes) == (60, 720)
        assert policy.min_lead_minutes <= 60
        assert policy.max_ahead_days >= 14
        assert policy.max_open_holds >= 5
        assert policy.max_bookings_per_day >= 20
        assert not policy.requires_confirmation
        assert [(step["minutes_before"], step["fee_percent"]) for step in policy.cancel_steps] == [
            (120, 0),
            (0, 30),
            (None, 100),
        ]


def test_middle_store_confirms_by_hand_and_sells_sessions_and_a_night_package(demo: Flask) -> None:
    assert all(room.policy.requires_confirmation for room in load_store_rooms(MIDDLE))
    names = session().scalars(select(BookingSession.name).where(BookingSession.store_id == MIDDLE)).all()
    assert sorted(names) == sorted(["上午场", "下午场", "晚场", "通宵场"])
    room = load_store_rooms(MIDDLE)[0]
    start_at = local_instant(date(2026, 3, 6), 23 * 60, ZONE)
    request = quotes.BookingRequest(room.room_id, start_at, start_at + timedelta(hours=8))
    lines = quotes.quote_booking(request, actor=None, now=NOON)["lines"]
    assert [(line["kind"], line["minutes"]) for line in lines] == [("package", 480)]
    night = session().scalars(select(BookingSession).where(BookingSession.name == "通宵场")).one()
    request = quotes.BookingRequest(room.room_id, start_at, session_id=night.id)
    assert quotes.quote_booking(request, actor=None, now=NOON)["lines"][0]["kind"] == "session"


@pytest.mark.parametrize("store_id", [FIRST, LAST])
def test_every_room_has_other_rates_on_weekends_and_sells_friday_night(demo: Flask, store_id: int) -> None:
    friday = date(2026, 3, 13)
    for room in load_store_rooms(store_id):
        prices = load_price_book(store_id).rules

        def total(on: date, hour: int, room=room, prices=prices) -> int:  # type: ignore[no-untyped-def]
            start_at = local_instant(on, hour * 60, ZONE)
            span = Span(start_at, start_at + timedelta(hours=2))
            return quote_span(room.priced_room, span, prices).total_fen

        for hour in range(24):
            assert total(friday - timedelta(days=1), hour) != total(friday + timedelta(days=1), hour), hour
    start_at = local_instant(friday, 22 * 60, ZONE)
    quiet = load_store_rooms(store_id)[-1]
    request = quotes.BookingRequest(quiet.room_id, start_at, start_at + timedelta(hours=4))
    quote = quotes.quote_booking(request, actor=None, now=NOON)
    assert [line["minutes"] for line in quote["lines"]] == [120, 120]
    assert quote["lines"][0]["unit_fen"] != quote["lines"][1]["unit_fen"]
    assert quote["total_fen"] == 2 * sum(line["unit_fen"] for line in quote["lines"])


@pytest.mark.parametrize("store_id", [FIRST, LAST])
def test_there_are_free_rooms_on_every_day(demo: Flask, store_id: int) -> None:
    for offset in range(15):
        on = local_date(NOON, ZONE) + timedelta(days=offset)
        assert len([hours for hours in hours_free(store_id, on, NOON) if hours >= 8]) >= 3, on


def test_every_day_of_the_period_has_orders_in_every_store(demo: Flask) -> None:
    rows = session().execute(select(Order.store_id, Order.created_at).where(Order.kind == OrderKind.BOOKING))
    days = {(row.store_id, local_date(row.created_at, ZONE)) for row in rows}
    today = local_date(NOON, ZONE)
    wanted = {(store_id, today - timedelta(days=day)) for store_id in (1, 2, 3) for day in range(1, 91)}
    assert wanted <= days
    assert 3000 <= session().scalar(select(func.count(Order.id))) <= 4500  # type: ignore[operator]


def test_evenings_and_weekends_are_busier(demo: Flask) -> None:
    ended = select(Booking.start_at).where(Booking.state == BookingState.ENDED)
    starts = [at.astimezone(ZONE) for at in session().scalars(ended)]
    by_weekday = [len([at for at in starts if at.weekday() == day]) for day in range(7)]
    assert min(by_weekday[5:]) > max(by_weekday[:4]) * 1.2
    evening = len([at for at in starts if 18 <= at.hour < 22])
    assert evening > len([at for at in starts if 8 <= at.hour < 12]) * 1.5


def test_every_outcome_is_there(demo: Flask) -> None:
    statuses = {
        (row.kind, row.status) for row in session().execute(select(Order.kind, Order.status).distinct())
    }
    shared = {OrderStatus.CANCELLED, OrderStatus.REFUNDED}
    for status in {OrderStatus.AWAITING_USE, OrderStatus.COMPLETED} | shared:
        assert (OrderKind.BOOKING, status) in statuses
    for status in {OrderStatus.ISSUED, OrderStatus.USED, OrderStatus.EXPIRED} | shared:
        assert (OrderKind.GROUP_BUY, status) in statuses
    events = set(session().scalars(text("SELECT DISTINCT event FROM order_events")))
    assert {"no_show", "refuse", "cancel", "expire", "check_out", "end", "pay_failed", "issue"} <= events
    fees = session().scalar(select(func.count(Order.id)).where(Order.cancel_fee_fen > 0))
    assert fees


BOOKING_STATES = {
    OrderStatus.PENDING_PAYMENT: {BookingState.HELD},
    OrderStatus.PAID: {BookingState.RESERVED},
    OrderStatus.AWAITING_USE: {BookingState.RESERVED},
    OrderStatus.IN_USE: {BookingState.IN_USE},
    OrderStatus.COMPLETED: {BookingState.ENDED},
    OrderStatus.CANCELLED: {BookingState.RELEASED, BookingState.EXPIRED},
    OrderStatus.REFUNDING: {BookingState.RELEASED},
    OrderStatus.REFUNDED: {BookingState.RELEASED},
}


def test_sums_and_states_agree(demo: Flask) -> None:
    found = orders._load(Order.kind == OrderKind.BOOKING)
    for order in found:
        assert sum(line.amount_fen for line in order.lines) == order.total_fen
        assert_money_agrees(order)
        (booking,) = order.bookings
        assert booking.state in BOOKING_STATES[order.status], order.no
        assert order.events[-1].to_status in (order.status.value, None)
        times = [event.at for event in order.events]
        assert times == sorted(times)
        assert times[-1] <= NOON
        if booking.state is BookingState.ENDED:
            assert booking.start_at < NOON


def assert_money_agrees(order: Order) -> None:
    """Compare the order's sums with its payments and refunds."""
    paid = [payment for payment in order.payments if payment.status is PaymentStatus.SUCCEEDED]
    back = [refund for refund in order.refunds if refund.status is RefundStatus.SUCCEEDED]
    assert order.paid_fen == sum(payment.amount_fen for payment in paid)
    assert order.refunded_fen == sum(refund.amount_fen for refund in back)
    assert sum(payment.refund_reserved_fen for payment in paid) == sum(
        refund.amount_fen for refund in order.refunds
    )
    if order.status is OrderStatus.REFUNDED:
        assert order.refunded_fen + order.cancel_fee_fen == order.paid_fen
    if order.status in (OrderStatus.AWAITING_USE, OrderStatus.COMPLETED, OrderStatus.IN_USE):
        assert order.paid_fen == order.total_fen


def test_shifts_hold_the_money_of_the_counter(demo: Flask) -> None:
    entries = session().scalars(select(CounterEntry)).all()
    assert {entry.channel for entry in entries if entry.amount_fen > 0} == set(COUNTER_CHANNELS)
    assert [entry for entry in entries if entry.amount_fen < 0]
    for entry in entries:
        shift, moved = entry.shift, entry.payment or entry.refund
        assert moved is not None
        assert moved.amount_fen == abs(entry.amount_fen)
        assert (moved.order_id, entry.order.store_id) == (entry.order_id, shift.store_id)
        assert shift.opened_at <= entry.at <= (shift.closed_at or NOON)
        assert entry.staff_id == shift.cashier_id
    taken = select(Payment).where(Payment.channel.in_(COUNTER_CHANNELS))
    assert {row.id for row in session().scalars(taken)} == {each.payment_id for each in entries} - {None}


def test_closed_shifts_were_counted_and_one_is_open(demo: Flask) -> None:
    found = session().scalars(select(Shift)).all()
    assert {shift.store_id for shift in found} == {FIRST, MIDDLE, LAST}
    (open_one,) = [shift for shift in found if shift.status is ShiftStatus.OPEN]
    assert open_one.store_id == MIDDLE
    assert session().scalar(select(func.count()).where(CounterEntry.shift_id == open_one.id))
    actor = staff_actor(0, "", ALL_STORES)
    differences = set()
    for shift in found:
        if shift is open_one:
            continue
        shown = shifts.get_shift(shift.id, is_overseer=True, actor=actor)["sums"]
        for sums in shown:
            start_fen = shift.float_fen if sums["channel"] is COUNTER_CHANNELS[0] else 0
            assert sums["expected_fen"] == start_fen + sums["paid_fen"] - sums["refunded_fen"]
        assert sum(sums["difference_fen"] for sums in shown) == shift.difference_fen
        assert bool(shift.reason) is (shift.difference_fen != 0)
        differences.add(shift.difference_fen)
    assert len(differences) == 2


def test_every_way_of_paying_and_giving_back_is_there(demo: Flask) -> None:
    paid = select(Payment.channel).where(Payment.status == PaymentStatus.SUCCEEDED).distinct()
    assert set(session().scalars(paid)) >= {
        *COUNTER_CHANNELS,
        PaymentChannel.WECHAT_JSAPI,
        PaymentChannel.WECHAT_NATIVE,
        PaymentChannel.ALIPAY,
        PaymentChannel.UNIONPAY,
    }
    back = select(Payment.channel).join(Refund, Refund.payment_id == Payment.id)
    done = back.where(Refund.status == RefundStatus.SUCCEEDED).distinct()
    assert set(session().scalars(done)) >= {PaymentChannel.ALIPAY, PaymentChannel.UNIONPAY}


def test_work_waits_for_staff(demo: Flask) -> None:
    actor = staff_actor(0, "", ALL_STORES)
    work = today.list_work(actor=actor, now=NOON)
    assert (work["stuck_refunds"], work["refund_requests"]) == (2, 1)
    assert len(abnormal_refunds.list_abnormal(actor=actor)) == 2
    (task,) = counter.list_refunds(actor=actor)
    assert task["channel"] is PaymentChannel.COUNTER_CASH
    waiting, refused = session().scalars(select(RefundRequest).order_by(RefundRequest.status.desc()))
    assert (waiting.status, refused.status) == (RefundRequestStatus.REQUESTED, RefundRequestStatus.REFUSED)
    review = refund_requests.get_review(waiting.id, actor=actor, now=NOON)
    assert review["by_rules_fen"] == waiting.policy_fen > 0


def test_orders_cost_what_the_price_function_says(demo: Flask) -> None:
    found = session().execute(
        select(Order, Booking)
        .join(Booking, Booking.order_id == Order.id)
        .where(Booking.state == BookingState.RESERVED, Order.total_fen > 0)
    )
    compared = 0
    for order, booking in found:
        if any(line.kind == "session" for line in order.lines):
            continue
        room = load_room(booking.room_id)
        span = Span(booking.start_at, booking.end_at)
        quote = quote_span(room.priced_room, span, load_price_book(room.store_id).rules)
        assert quote.total_fen == order.total_fen
        assert [line.label for line in quote.lines] == [line.label for line in order.lines]
        compared += 1
    assert compared >= 3


def test_blocks_and_bookings_do_not_meet(demo: Flask) -> None:
    blocks = session().scalars(select(RoomBlock)).all()
    assert [block for block in blocks if block.start_at > NOON]
    for block in blocks:
        met = session().scalar(
            select(func.count(Booking.id)).where(
                Booking.room_id == block.room_id,
                Booking.state.in_(OCCUPYING_STATES),
                Booking.start_at < block.end_at,
                Booking.end_at > block.start_at,
            )
        )
        assert met == 0


def test_booked_starts_lie_on_the_grid_and_ahead(demo: Flask) -> None:
    rows = session().execute(
        select(Booking.start_at, Order.created_at)
        .join(Order, Order.id == Booking.order_id)
        .where(Order.source == "mini_program")
    )
    for row in rows:
        assert local_minute(row.start_at, ZONE) % 30 == 0
        assert row.start_at - row.created_at >= timedelta(minutes=30)


def test_vouchers_agree_with_their_redemptions(demo: Flask) -> None:
    for voucher in session().scalars(select(Voucher)).all():
        assert voucher.code.endswith(voucher.code_tail)
        if voucher.status is VoucherStatus.REDEEMED:
            assert voucher.booking_order_id is not None
        assert voucher.status is not VoucherStatus.ISSUED or voucher.valid_until_at > NOON
    live = text(
        "SELECT v.id FROM vouchers v WHERE v.status = 'redeemed' AND"
        " (SELECT count(*) FROM redemptions r WHERE r.voucher_id = v.id AND r.reverses_id IS NULL) !="
        " (SELECT count(*) FROM redemptions r WHERE r.voucher_id = v.id AND r.reverses_id IS NOT NULL) + 1"
    )
    assert session().execute(live).all() == []


def test_campaigns_have_a_lone_one_with_a_limit_and_one_for_three(demo: Flask) -> None:
    campaigns = session().scalars(select(Campaign).order_by(Campaign.id)).all()
    on_sale = [each for each in campaigns if each.status is CampaignStatus.PUBLISHED]
    assert [each.team_size for each in on_sale] == [1, 3]
    assert on_sale[0].per_customer_limit is not None
    assert CampaignStatus.DRAFT in {each.status for each in campaigns}
    for each in campaigns:
        assert each.cover_url and each.description_html and each.terms
        taken = select(CampaignBuyer.taken_count).where(CampaignBuyer.campaign_id == each.id)
        assert sum(session().scalars(taken)) == each.sold_count


def test_staff_of_every_role_can_log_in(demo: Flask) -> None:
    staff = {row.username: row for row in session().scalars(select(Staff)).unique()}
    roles = {name: [role.name for role in staff[name].roles] for name in staff}
    wanted = {"owner": "Owner", "manager": "Manager", "cashier": "Cashier", "service": "Service"}
    for username, role in (wanted | {"analyst": "Analyst"}).items():
        assert roles[username] == [role]
        assert check_password_hash(staff[username].password, "quefang-demo")
    assert {store.id for store in staff["cashier"].stores} == {FIRST, MIDDLE}
    assert staff["owner"].stores == []
    covered = {store.id for row in staff.values() for store in row.stores if "Cashier" in roles[row.username]}
    assert covered == {FIRST, MIDDLE, LAST}


def test_customers_are_found_by_the_end_of_their_number(demo: Flask) -> None:
    customers = session().scalars(select(Customer)).all()
    assert 100 <= len(customers) <= 140
    with_phone = [each for each in customers if each.phone]
    assert len({each.phone_hash for each in with_phone}) == len(with_phone) > 90
    assert all(len(each.phone or "") == 11 and each.phone_tail_hash for each in with_phone)


def test_nothing_is_left_for_the_clockwork_to_catch_up(demo: Flask) -> None:
    assert clockwork.expire_holds(now=NOON) == 0
    assert clockwork.advance_bookings(now=NOON) == 0
    assert payments.query_silent_payments(now=NOON) == 0
    assert refunds.settle_refunds(now=NOON) == 0
    assert teams.expire_unpaid(now=NOON) + teams.fail_overdue_teams(now=NOON) == 0
    assert teams.expire_vouchers(now=NOON) == 0


def test_new_customer_books_in_the_first_store(demo: Flask) -> None:
    guest = Customer(nickname="新客", created_at=NOON)
    session().add(guest)
    session().commit()
    room = load_store_rooms(FIRST)[-1]
    start_at = NOON + timedelta(days=1)
    request = quotes.BookingRequest(room.room_id, start_at, start_at + timedelta(hours=3))
    no = bookings.create_booking(request, actor=customer_actor(guest.id), now=NOON)
    assert orders.get_order(no, customer_id=guest.id, now=NOON)["status"] == "pending_payment"


def test_voucher_of_the_history_is_good_at_the_desk(demo: Flask) -> None:
    voucher = (
        session()
        .scalars(
            select(Voucher).where(Voucher.status == VoucherStatus.ISSUED, Voucher.campaign_id == 1).limit(1)
        )
        .one()
    )
    desk = staff_actor(session().scalars(select(Staff.id).limit(1)).one(), "desk", ALL_STORES)
    for store_id in (FIRST, LAST):
        preview = redemptions.preview(store_id, code=voucher.code, actor=desk, now=NOON)
        assert preview["valid"], preview["reasons"]
        assert len(preview["rooms"]) >= 2


def test_personal_limit_counts_what_was_bought_before(demo: Flask) -> None:
    campaign = session().get_one(Campaign, 1)
    full = (
        session()
        .execute(
            select(CampaignBuyer.customer_id)
            .where(CampaignBuyer.campaign_id == 1, CampaignBuyer.taken_count == campaign.per_customer_limit)
            .limit(1)
        )
        .scalar_one()
    )
    with pytest.raises(LimitReached):
        group_orders.create_group_order(1, actor=customer_actor(full), now=NOON)
