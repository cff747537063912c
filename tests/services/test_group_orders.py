"""Group-buy orders: bought alone and in teams, with stock, limits and seats; what expires and fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.domain.actor import Actor
from app.domain.states import CampaignStatus, OrderStatus, TeamStatus, VoucherStatus
from app.extensions import db
from app.models import Campaign, CampaignBuyer, CampaignEvent, Customer, Notification, Refund, Team, Voucher
from app.services import cancellations, channels, orders, payments, redemptions, stays, teams
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop
from tests.services.test_payments import unset

TEAM = {"team_size": 3, "team_minutes": 24 * 60}


def counts(shop: Shop) -> tuple[int, int]:
    """Vouchers taken of the campaign, and by the first buyer."""
    buyers = shop.rows(CampaignBuyer)
    return shop.rows(Campaign)[0].sold_count, buyers[0].taken_count if buyers else 0


def steps(shop: Shop) -> list[str]:
    return [event.kind for event in shop.rows(CampaignEvent)]


def test_create_waits_for_payment(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(), quantity=2)

    order = shop.order(no)
    assert (order.status, order.total_fen, order.quantity) == (OrderStatus.PENDING_PAYMENT, 19800, 2)
    assert order.expires_at == shop.at(minutes=15)
    assert [(line.kind, line.unit_fen, line.amount_fen) for line in order.lines] == [("package", 9900, 19800)]
    assert counts(shop) == (2, 2)
    assert (shop.notices(no), steps(shop)) == (["order_created"], ["start"])
    assert shop.rows(Voucher) == []


def test_bought_alone_vouchers_are_issued_when_paid(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(), quantity=2)

    shop.pay(no)

    assert shop.status(no) is OrderStatus.ISSUED
    vouchers = shop.vouchers(no)
    assert [(row.status, row.price_fen) for row in vouchers] == [(VoucherStatus.ISSUED, 9900)] * 2
    assert len({row.code for row in vouchers}) == 2
    assert vouchers[0].valid_until_at == shop.at(24 * 30)
    assert shop.events(no) == ["create", "payment_succeeded", "pay", "issue"]
    assert shop.notices(no) == ["order_created", "voucher_issued"]
    assert steps(shop) == ["start", "pay"]
    shown = orders.get_order(no, customer_id=shop.customer.id, now=shop.now)
    assert (shown["policy"], len(shown["vouchers"])) == (None, 2)


def test_free_campaign_is_issued_at_once(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(price_fen=0))

    assert shop.status(no) is OrderStatus.ISSUED
    assert len(shop.vouchers(no)) == 1


SALES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("draft", {"status": CampaignStatus.DRAFT}, {}, "not_found"),
    ("paused", {"status": CampaignStatus.PAUSED}, {}, "not_found"),
    ("ended", {"status": CampaignStatus.ENDED}, {}, "not_found"),
    ("not yet on sale", {"sale_starts_at": factories.NOW + timedelta(seconds=1)}, {}, "not_found"),
    ("no longer on sale", {"sale_ends_at": factories.NOW}, {}, "not_found"),
    ("more than the stock", {"stock": 1}, {"quantity": 2}, "sold_out"),
    ("more than the limit", {"per_customer_limit": 1}, {"quantity": 2}, "limit_reached"),
    ("two in a team", TEAM, {"quantity": 2}, "invalid_field"),
    ("a team of another campaign", {}, {"team_id": 1}, "invalid_field"),
    ("an unknown team", TEAM, {"team_id": 4711}, "not_found"),
]


@pytest.mark.parametrize(("label", "values", "wish", "code"), SALES, ids=[row[0] for row in SALES])
def test_create_refused(
    shop: Shop, label: str, values: dict[str, Any], wish: dict[str, Any], code: str
) -> None:
    campaign = shop.campaign(**values)

    with refused(code):
        shop.group_order(campaign, **wish)


def test_create_refused_for_the_blacklisted(shop: Shop) -> None:
    campaign = shop.campaign()
    shop.customer.is_blacklisted = True
    db.session.commit()

    with refused("blacklisted"):
        shop.group_order(campaign)


def test_stock_counts_unpaid_orders_until_they_expire(shop: Shop) -> None:
    campaign = shop.campaign(stock=1)
    no = shop.group_order(campaign)
    guest = shop.another_guest()
    with refused("sold_out"):
        shop.group_order(campaign, actor=guest)

    assert teams.expire_unpaid(now=shop.at(minutes=14)) == 0
    assert teams.expire_unpaid(now=shop.at(minutes=15)) == 1

    assert (shop.status(no), counts(shop)) == (OrderStatus.CANCELLED, (0, 0))
    assert shop.notices(no)[-1] == "order_expired"
    assert shop.group_order(campaign, actor=guest)


def test_limit_counts_until_the_order_is_cancelled(shop: Shop) -> None:
    campaign = shop.campaign(per_customer_limit=1)
    no = shop.group_order(campaign)
    with refused("limit_reached") as caught:
        shop.group_order(campaign)
    assert caught.value.data == {"rule": "per_customer_limit", "limit": 1}
    assert shop.group_order(campaign, actor=shop.another_guest())

    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)

    assert shop.status(no) is OrderStatus.CANCELLED
    assert shop.group_order(campaign)


def test_paid_order_cannot_be_cancelled(shop: Shop) -> None:
    no = shop.group_order(shop.campaign())
    shop.pay(no)

    with refused("invalid_transition"):
        cancellations.cancel_order(no, actor=shop.guest, now=shop.now)


def test_late_payment_is_refunded(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(stock=1))
    payment_no = shop.start_payment(no)
    assert teams.expire_unpaid(now=shop.at(minutes=15)) == 1

    shop.notify(payment_no, at=shop.at(minutes=16))

    assert shop.status(no) is OrderStatus.REFUNDING
    shop.finish_refunds()
    assert shop.status(no) is OrderStatus.REFUNDED
    assert (shop.rows(Voucher), counts(shop)) == ([], (0, 0))


def test_unpaid_order_expires_without_a_service_after_the_grace(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    no = shop.group_order(shop.campaign())
    shop.start_payment(no)
    monkeypatch.setattr(channels, "wechat_pay", unset)

    assert teams.expire_unpaid(now=shop.at(minutes=15)) == 0
    assert teams.expire_unpaid(now=shop.at(minutes=17)) == 1


@pytest.fixture
def campaign(shop: Shop) -> Campaign:
    """A campaign for teams of three, with 24 hours to fill one."""
    return shop.campaign(**TEAM, stock=9)


@pytest.fixture
def guests(shop: Shop) -> list[Actor]:
    return [shop.guest, shop.another_guest(), shop.another_guest()]


def join(shop: Shop, campaign: Campaign, guests: list[Actor], *, at: Any = None) -> list[str]:
    """The first guest starts a team, the others join; nobody has paid."""
    first = shop.group_order(campaign, actor=guests[0], at=at or shop.now)
    team_id = shop.order(first).team_id
    others = [
        shop.group_order(campaign, actor=guest, team_id=team_id, at=at or shop.now) for guest in guests[1:]
    ]
    return [first, *others]


def test_team_is_complete_when_all_have_paid(shop: Shop, campaign: Campaign, guests: list[Actor]) -> None:
    numbers = join(shop, campaign, guests)
    for no in numbers[:2]:
        shop.pay(no)
    assert [shop.status(no) for no in numbers[:2]] == [OrderStatus.FORMING] * 2
    assert shop.rows(Voucher) == []
    assert shop.notices(numbers[0])[-1] == "team_joined"

    shop.pay(numbers[2])

    assert [shop.status(no) for no in numbers] == [OrderStatus.ISSUED] * 3
    assert [len(shop.vouchers(no)) for no in numbers] == [1, 1, 1]
    assert [shop.notices(no)[-2:] for no in numbers] == [["voucher_issued", "team_complete"]] * 3
    assert shop.rows(Team)[0].status is TeamStatus.COMPLETE
    assert steps(shop).count("start") == 1 and steps(shop).count("join") == 2


def test_team_is_shown_with_those_who_paid(shop: Shop, campaign: Campaign, guests: list[Actor]) -> None:
    numbers = join(shop, campaign, guests[:2])
    shop.pay(numbers[1])
    team_id = shop.order(numbers[0]).team_id

    shown = teams.get_team(team_id, now=shop.now)

    assert (shown["size"], shown["joined"], shown["status"]) == (3, 1, "forming")
    assert [member["nickname"] for member in shown["members"]] == [guests[1].name]
    assert shown["expires_at"] == shop.at(24)
    with refused("not_found"):
        teams.get_team(4711, now=shop.now)


def test_seats_are_taken_by_unpaid_members(shop: Shop, campaign: Campaign, guests: list[Actor]) -> None:
    numbers = join(shop, campaign, guests)
    team_id, late = shop.order(numbers[0]).team_id, shop.another_guest()
    with refused("team_full"):
        shop.group_order(campaign, actor=late, team_id=team_id)

    cancellations.cancel_order(numbers[1], actor=guests[1], now=shop.now)

    assert shop.rows(Team)[0].joined_count == 2
    assert shop.group_order(campaign, actor=late, team_id=team_id)


def test_customer_joins_a_team_once(shop: Shop, campaign: Campaign) -> None:
    no = shop.group_order(campaign)
    team_id = shop.order(no).team_id
    for is_paid in (False, True):
        if is_paid:
            shop.pay(no)
        with refused("limit_reached") as caught:
            shop.group_order(campaign, team_id=team_id)
        assert caught.value.data is not None and caught.value.data["rule"] == "team_member"


def test_team_of_another_campaign_is_not_found(shop: Shop, campaign: Campaign) -> None:
    team_id = shop.order(shop.group_order(campaign)).team_id
    other, guest = shop.campaign(**TEAM), shop.another_guest()

    with refused("not_found"):
        shop.group_order(other, actor=guest, team_id=team_id)


def test_team_that_is_over_takes_nobody(shop: Shop, campaign: Campaign) -> None:
    team_id = shop.order(shop.group_order(campaign)).team_id
    guest = shop.another_guest()

    with refused("team_full"):
        shop.group_order(campaign, actor=guest, team_id=team_id, at=shop.at(24))


def test_team_that_is_not_filled_is_refunded(shop: Shop, campaign: Campaign, guests: list[Actor]) -> None:
    numbers = join(shop, campaign, guests[:2])
    for no in numbers:
        shop.pay(no)

    assert teams.fail_overdue_teams(now=shop.at(24) - timedelta(seconds=1)) == 0
    assert teams.fail_overdue_teams(now=shop.at(24)) == 1

    assert [shop.status(no) for no in numbers] == [OrderStatus.REFUNDING] * 2
    assert [shop.notices(no)[-1] for no in numbers] == ["team_failed"] * 2
    assert shop.rows(Team)[0].status is TeamStatus.FAILED
    shop.finish_refunds()
    assert [shop.status(no) for no in numbers] == [OrderStatus.REFUNDED] * 2
    assert (shop.rows(Voucher), counts(shop)) == ([], (0, 0))
    with unchanged():
        assert teams.fail_overdue_teams(now=shop.at(25)) == 0


def test_member_who_pays_after_the_team_failed_is_refunded(
    shop: Shop, campaign: Campaign, guests: list[Actor]
) -> None:
    # The last member takes a seat a minute before the deadline and pays a minute after it.
    first = shop.group_order(campaign, actor=guests[0])
    shop.pay(first)
    team_id = shop.order(first).team_id
    last = shop.group_order(campaign, actor=guests[1], team_id=team_id, at=shop.at(24, -1))
    payment_no = shop.start_payment(last, at=shop.at(24, -1))
    teams.fail_overdue_teams(now=shop.at(24))

    shop.notify(payment_no, at=shop.at(24, 1))

    assert shop.status(last) is OrderStatus.REFUNDING
    shop.finish_refunds()
    assert [shop.status(no) for no in (first, last)] == [OrderStatus.REFUNDED] * 2
    assert counts(shop) == (0, 0)


def test_team_member_who_paid_twice_gets_both_back(shop: Shop, campaign: Campaign) -> None:
    no = shop.group_order(campaign)
    first = shop.start_payment(no)
    second = payments.start_payment(no, channel="wechat_native", actor=shop.guest, now=shop.now)["payment_no"]
    shop.notify(first)
    shop.notify(str(second))

    assert teams.fail_overdue_teams(now=shop.at(24)) == 1

    assert [refund.amount_fen for refund in shop.rows(Refund)] == [9900, 9900]
    shop.finish_refunds()
    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 19800)


def test_vouchers_expire_and_are_refunded(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(valid_days=1), quantity=2)
    shop.pay(no)

    assert teams.expire_vouchers(now=shop.at(24) - timedelta(seconds=1)) == 0
    assert teams.expire_vouchers(now=shop.at(24)) == 1

    assert shop.status(no) is OrderStatus.REFUNDING
    assert [row.status for row in shop.rows(Voucher)] == [VoucherStatus.REFUNDING] * 2
    assert shop.rows(Refund)[0].amount_fen == 19800
    shop.finish_refunds()
    assert shop.status(no) is OrderStatus.REFUNDED
    assert [row.status for row in shop.rows(Voucher)] == [VoucherStatus.REFUNDED] * 2
    assert "voucher_expired" in shop.notices(no)
    with unchanged():
        assert teams.expire_vouchers(now=shop.at(25)) == 0


def test_messages_about_vouchers_name_code_and_validity(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(valid_days=1))
    shop.pay(no)
    teams.expire_vouchers(now=shop.at(24))

    (voucher,) = shop.vouchers(no)
    told = {row.event: row.variables for row in shop.rows(Notification)}
    for event in ("voucher_issued", "voucher_expired"):
        assert told[event]["code_tail"] == voucher.code_tail
        assert told[event]["valid_until"] == "2026-03-05 12:00"


def test_vouchers_expire_without_refund_by_the_campaigns_policy(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(valid_days=1, is_refunded_on_expiry=False))
    shop.pay(no)

    assert teams.expire_vouchers(now=shop.at(24)) == 1

    assert shop.status(no) is OrderStatus.EXPIRED
    assert [row.status for row in shop.rows(Voucher)] == [VoucherStatus.EXPIRED]
    assert shop.rows(Refund) == []


def test_price_at_the_purchase_is_refunded(shop: Shop) -> None:
    campaign = shop.campaign(valid_days=1)
    no = shop.group_order(campaign)
    campaign.price_fen = campaign.list_price_fen
    db.session.commit()
    shop.pay(no)

    teams.expire_vouchers(now=shop.at(24))

    assert shop.rows(Refund)[0].amount_fen == 9900


def use_first(shop: Shop, no: str) -> None:
    """Redeem one voucher of an order at check-in."""
    booking = shop.book(3, 3, voucher_code=shop.vouchers(no)[0].code)
    stays.check_in(booking, actor=shop.guest, now=shop.at(3))


@pytest.mark.parametrize("is_refunded", [True, False], ids=["refunded", "expired"])
def test_order_is_used_when_the_rest_expires(shop: Shop, is_refunded: bool) -> None:
    no = shop.group_order(shop.campaign(valid_days=1, is_refunded_on_expiry=is_refunded), quantity=2)
    shop.pay(no)
    use_first(shop, no)
    assert shop.status(no) is OrderStatus.ISSUED

    teams.expire_vouchers(now=shop.at(24))
    shop.finish_refunds()

    assert shop.status(no) is OrderStatus.USED
    assert [refund.amount_fen for refund in shop.rows(Refund)] == ([9900] if is_refunded else [])


def test_locked_voucher_does_not_expire(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(valid_days=1))
    shop.pay(no)
    shop.book(23.5, 3, voucher_code=shop.vouchers(no)[0].code)

    assert teams.expire_vouchers(now=shop.at(24)) == 0
    assert shop.status(no) is OrderStatus.ISSUED


def test_shared_by_is_kept_when_it_is_somebody_else(shop: Shop) -> None:
    campaign, friend = shop.campaign(), factories.make_customer()

    numbers = [
        shop.group_order(campaign, shared_by=each) for each in (friend.id, shop.customer.id, 4711, None)
    ]

    assert [shop.order(no).shared_by_id for no in numbers] == [friend.id, None, None, None]
    assert len(shop.rows(Customer)) == 2


def test_voucher_of_a_team_is_redeemed_at_the_desk(
    shop: Shop, campaign: Campaign, guests: list[Actor]
) -> None:
    numbers = join(shop, campaign, guests)
    for no in numbers:
        shop.pay(no)
    cashier = shop.cashier()
    code = shop.vouchers(numbers[1])[0].code
    seen = redemptions.preview(shop.store.id, code=code, actor=cashier, now=shop.now)

    redemptions.confirm(seen["nonce"], shop.room.id, actor=cashier, now=shop.now)

    assert [shop.status(no) for no in numbers] == [OrderStatus.ISSUED, OrderStatus.USED, OrderStatus.ISSUED]
