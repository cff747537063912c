"""Campaigns as customers see them, their life, and their funnel."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain.actor import StoreScope, staff_actor
from app.domain.states import CampaignStatus
from app.extensions import db
from app.models import AuditEntry, Campaign, CampaignEvent
from app.services import campaigns
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop


def titles(shop: Shop, **values: object) -> list[str]:
    page = campaigns.list_campaigns(now=shop.now, **values)  # type: ignore[arg-type]
    return [item["title"] for item in page["items"]]


def test_list_shows_what_is_on_sale_newest_first(shop: Shop) -> None:
    other = factories.make_store()
    shop.campaign(title="first")
    factories.make_campaign(other, title="elsewhere")
    shop.campaign(title="draft", status=CampaignStatus.DRAFT)
    shop.campaign(title="over", sale_ends_at=shop.now)
    shop.campaign(title="early", sale_starts_at=shop.now + timedelta(seconds=1))

    assert titles(shop) == ["elsewhere", "first"]
    assert titles(shop, store_id=shop.store.id) == ["first"]
    first = campaigns.list_campaigns(now=shop.now, limit=1)
    assert titles(shop, cursor=first["next_cursor"]) == ["first"]


def test_get_cleans_the_description_and_counts_what_remains(shop: Shop) -> None:
    html = '<p onclick="x()">好<script>alert(1)</script><a href="http://x">去</a><b>玩</b></p>'
    campaign = shop.campaign(stock=5, description_html=html, team_size=3, team_minutes=60)
    shop.group_order(campaign)

    shown = campaigns.get_campaign(campaign.id, now=shop.now)

    assert shown["description_html"] == "<p>好去<b>玩</b></p>"
    assert (shown["remaining"], shown["team_size"], shown["package"]["minutes"]) == (4, 3, 180)
    assert shown["share"]["path"].endswith(f"id={campaign.id}")
    with refused("not_found"):
        campaigns.get_campaign(4711, now=shop.now)


def test_campaign_moves_through_its_life(shop: Shop) -> None:
    campaign = shop.campaign(status=CampaignStatus.DRAFT)
    manager = shop.cashier()

    for event, status in (
        ("publish", "published"),
        ("pause", "paused"),
        ("publish", "published"),
        ("end", "ended"),
    ):
        campaigns.move_campaigns([campaign.id], event, actor=manager, now=shop.now)
        assert shop.rows(Campaign)[0].status == status
    assert [entry.action for entry in shop.rows(AuditEntry)] == [
        "campaign_publish",
        "campaign_pause",
        "campaign_publish",
        "campaign_end",
    ]
    for event in ("publish", "pause", "end"):
        with refused("invalid_transition"):
            campaigns.move_campaigns([campaign.id], event, actor=manager, now=shop.now)


def test_campaigns_move_all_or_none(shop: Shop) -> None:
    draft, ended = (shop.campaign(status=status) for status in (CampaignStatus.DRAFT, CampaignStatus.ENDED))
    manager = shop.cashier()

    with refused("invalid_transition"):
        campaigns.move_campaigns([draft.id, ended.id], "publish", actor=manager, now=shop.now)
    with refused("not_found"):
        campaigns.move_campaigns([draft.id, 4711], "publish", actor=manager, now=shop.now)


def test_campaign_of_other_stores_is_not_found(shop: Shop) -> None:
    campaign = shop.campaign()
    campaign.stores.append(factories.make_store())
    db.session.commit()
    manager = shop.cashier()
    owner = staff_actor(manager.id or 0, "店主", StoreScope(is_all=True))

    with refused("not_found"):
        campaigns.move_campaigns([campaign.id], "pause", actor=manager, now=shop.now)
    campaigns.move_campaigns([campaign.id], "pause", actor=owner, now=shop.now)


def test_views_are_counted_while_on_sale(shop: Shop) -> None:
    campaign, paused = shop.campaign(), shop.campaign(status=CampaignStatus.PAUSED)

    campaigns.record_view(campaign.id, shared_by=None, customer_id=shop.customer.id, now=shop.now)

    assert [(row.kind, row.customer_id) for row in shop.rows(CampaignEvent)] == [("view", shop.customer.id)]
    with refused("not_found"):
        campaigns.record_view(paused.id, shared_by=None, customer_id=None, now=shop.now)


@pytest.mark.parametrize("shared_by", [4711, -1])
def test_view_shared_by_nobody_known_is_still_a_view(shop: Shop, shared_by: int) -> None:
    campaign = shop.campaign()

    campaigns.record_view(campaign.id, shared_by=shared_by, customer_id=None, now=shop.now)

    assert [(row.kind, row.shared_by_id) for row in shop.rows(CampaignEvent)] == [("view", None)]
