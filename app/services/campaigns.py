"""Campaigns as customers see them, their life from draft to end, and their funnel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import nh3
from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update
from sqlalchemy.orm import selectinload

from app.domain.actor import Actor
from app.domain.errors import Forbidden, InvalidField, InvalidTransition, NotFound
from app.domain.states import CAMPAIGN, CampaignStatus, check_transition
from app.models import Campaign, CampaignEvent, Customer, Media
from app.models.campaigns import campaign_stores
from app.services import audit
from app.services.cursors import after_id, page_of
from app.services.unit_of_work import change_rows, session, transactional
from app.services.vouchers import package_of, stored_terms

ALLOWED_TAGS = {"p", "br", "b", "strong", "i", "em", "u", "ul", "ol", "li", "h3", "h4", "blockquote", "span"}


def list_campaigns(
    *, store_id: int | None = None, cursor: str | None = None, limit: int = 20, now: datetime
) -> dict[str, Any]:
    """Return `{items, next_cursor}` of the campaigns on sale now, the newest first."""
    query = _on_sale(now).order_by(Campaign.id.desc()).limit(limit + 1)
    if store_id is not None:
        links = select(campaign_stores.c.campaign_id).where(campaign_stores.c.store_id == store_id)
        query = query.where(Campaign.id.in_(links))
    if cursor is not None:
        query = query.where(Campaign.id < after_id(cursor))
    page, next_cursor = page_of(session().scalars(query).all(), limit)
    return {"items": [describe_campaign(campaign) for campaign in page], "next_cursor": next_cursor}


def _on_sale(now: datetime) -> Any:
    return (
        select(Campaign)
        .where(
            Campaign.status == CampaignStatus.PUBLISHED,
            Campaign.sale_starts_at <= now,
            Campaign.sale_ends_at > now,
        )
        .options(
            selectinload(Campaign.stores), selectinload(Campaign.room_types), selectinload(Campaign.rooms)
        )
        .execution_options(populate_existing=True)
    )


def get_campaign(campaign_id: int, *, now: datetime) -> dict[str, Any]:
    """Return a campaign on sale with its media, description and what sharing it shows; raises NotFound."""
    campaign = find_on_sale(campaign_id, now=now)
    store_ids = [store.id for store in campaign.stores]
    media = session().scalars(
        select(Media)
        .where(Media.store_id.in_(store_ids), Media.room_id.is_(None))
        .order_by(Media.store_id, Media.position)
    )
    path = f"pages/campaign/index?id={campaign.id}"
    title = campaign.share_title or campaign.title
    image_url = campaign.share_image_url or campaign.cover_url
    return describe_campaign(campaign) | {
        "media": [
            {"kind": each.kind.value, "url": each.url, "poster_url": each.poster_url, "caption": each.caption}
            for each in media
        ],
        "description_html": clean_html(campaign.description_html),
        "terms": campaign.terms,
        "share": {
            "title": title,
            "image_url": image_url,
            "path": path,
            "timeline": {"title": title, "query": f"id={campaign.id}", "image_url": image_url},
        },
    }


def clean_html(html: str) -> str:
    """Return rich text with nothing left in it that could run, load or point elsewhere."""
    return nh3.clean(html, tags=ALLOWED_TAGS, attributes={})


def check_reach(campaign_id: int, *, actor: Actor) -> None:
    """Raise Forbidden unless the actor works in every store where a campaign counts."""
    stores = session().scalars(
        select(campaign_stores.c.store_id).where(campaign_stores.c.campaign_id == campaign_id)
    )
    if not all(actor.scope.allows(store_id) for store_id in stores):
        raise Forbidden(_l("This campaign counts in stores that you do not manage."))


def prepare(campaign: Campaign) -> None:
    """Clean what people typed before it is saved; raises InvalidField without a store."""
    if not campaign.stores:
        raise InvalidField.of("stores", _l("Please choose at least one."))
    campaign.description_html = clean_html(campaign.description_html or "")


def find_on_sale(campaign_id: int, *, now: datetime) -> Campaign:
    """Return a campaign that customers may see now; raises NotFound."""
    campaign: Campaign | None = session().scalar(_on_sale(now).where(Campaign.id == campaign_id))
    if campaign is None:
        raise NotFound()
    return campaign


def describe_campaign(campaign: Campaign) -> dict[str, Any]:
    """Return a campaign as lists show it."""
    remaining = None if campaign.stock is None else max(0, campaign.stock - campaign.sold_count)
    return {
        "id": campaign.id,
        "title": campaign.title,
        "cover_url": campaign.cover_url,
        "store_ids": [store.id for store in campaign.stores],
        "package": package_of(stored_terms(campaign)),
        "price_fen": campaign.price_fen,
        "list_price_fen": campaign.list_price_fen,
        "team_size": campaign.team_size,
        "team_minutes": campaign.team_minutes or None,
        "remaining": remaining,
        "per_customer_limit": campaign.per_customer_limit,
        "sale_starts_at": campaign.sale_starts_at,
        "sale_ends_at": campaign.sale_ends_at,
    }


@transactional
def record_view(campaign_id: int, *, shared_by: int | None, customer_id: int | None, now: datetime) -> None:
    """Count a look at a campaign; raises NotFound when it is not on sale."""
    find_on_sale(campaign_id, now=now)
    # A link can name anybody; only customers who exist are counted as sharers.
    sharer_id = session().scalar(select(Customer.id).where(Customer.id == shared_by)) if shared_by else None
    record_step(campaign_id, "view", customer_id=customer_id, shared_by_id=sharer_id, now=now)


def record_step(
    campaign_id: int, kind: str, *, customer_id: int | None, shared_by_id: int | None = None, now: datetime
) -> None:
    """Add one step of the funnel to the current transaction."""
    session().add(
        CampaignEvent(
            campaign_id=campaign_id, kind=kind, at=now, customer_id=customer_id, shared_by_id=shared_by_id
        )
    )


@transactional
def move_campaigns(campaign_ids: Sequence[int], event: str, *, actor: Actor, now: datetime) -> None:
    """Publish, pause or end campaigns, all or none; raises NotFound, InvalidTransition."""
    for campaign_id in campaign_ids:
        _move_campaign(campaign_id, event, actor=actor, now=now)


def _move_campaign(campaign_id: int, event: str, *, actor: Actor, now: datetime) -> None:
    targets = {
        "publish": CampaignStatus.PUBLISHED,
        "pause": CampaignStatus.PAUSED,
        "end": CampaignStatus.ENDED,
    }
    campaign = session().get(Campaign, campaign_id, populate_existing=True)
    if campaign is None or not all(actor.scope.allows(store.id) for store in campaign.stores):
        raise NotFound()
    source = campaign.status
    check_transition(CAMPAIGN, event, source, targets[event])
    changed = change_rows(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.status == source)
        .values(status=targets[event], version=Campaign.version + 1, updated_at=now)
    )
    if changed != 1:
        raise InvalidTransition(data={"event": event, "status": str(source)})
    audit.record_change(
        actor=actor,
        action=f"campaign_{event}",
        entity="campaign",
        entity_id=campaign_id,
        store_id=campaign.stores[0].id if len(campaign.stores) == 1 else None,
        before={"status": source.value},
        after={"status": targets[event].value},
        now=now,
    )
