"""Group-buy campaigns, buying their vouchers, and teams."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api.auth import current_actor, current_actor_or_none, current_customer_id
from app.api.endpoints import Access, Blueprint, Keyed
from app.api.refusals import GROUP_ORDER_CODES
from app.api.schemas.campaigns import (
    CampaignItemSchema,
    CampaignSchema,
    CampaignsQuery,
    GroupOrderRequestSchema,
    TeamSchema,
    ViewRequestSchema,
)
from app.api.schemas.common import page_schema
from app.api.schemas.orders import OrderSchema
from app.domain.clock import utc_now
from app.services import campaigns, group_orders, orders, teams

blueprint = Blueprint("campaigns", "Group-buy campaigns and teams")


@blueprint.operation(
    "GET",
    "/campaigns",
    query=CampaignsQuery,
    answer=page_schema(CampaignItemSchema),
    access=Access.PUBLIC,
    has_tag=True,
)
def list_campaigns(query: dict[str, Any]) -> dict[str, Any]:
    """List the campaigns on sale, the newest first."""
    return campaigns.list_campaigns(**query, now=utc_now())


@blueprint.operation(
    "GET", "/campaigns/<id:campaign_id>", answer=CampaignSchema, access=Access.PUBLIC, has_tag=True
)
def get_campaign(campaign_id: int) -> dict[str, Any]:
    """Return a campaign with its pictures, description, terms and what sharing it shows."""
    return campaigns.get_campaign(campaign_id, now=utc_now())


@blueprint.operation(
    "POST",
    "/campaigns/<id:campaign_id>/views",
    body=ViewRequestSchema,
    status=204,
    access=Access.OPTIONAL,
    keyed=Keyed.LOCAL,
)
def record_view(body: dict[str, Any], campaign_id: int) -> Response:
    """Count a look at a campaign."""
    actor = current_actor_or_none()
    customer_id = actor.id if actor else None
    campaigns.record_view(campaign_id, shared_by=body["shared_by"], customer_id=customer_id, now=utc_now())
    return Response(status=204)


@blueprint.operation(
    "POST",
    "/campaigns/<id:campaign_id>/orders",
    body=GroupOrderRequestSchema,
    answer=OrderSchema,
    status=201,
    keyed=Keyed.LOCAL,
    codes=GROUP_ORDER_CODES,
)
def create_order(body: dict[str, Any], campaign_id: int) -> dict[str, Any]:
    """Buy vouchers; a campaign for teams starts one, or joins the one that is named."""
    now = utc_now()
    no = group_orders.create_group_order(campaign_id, **body, actor=current_actor(), now=now)
    return orders.get_order(no, customer_id=current_customer_id(), now=now)


@blueprint.operation("GET", "/teams/<id:team_id>", answer=TeamSchema, access=Access.PUBLIC)
def get_team(team_id: int) -> dict[str, Any]:
    """Return a team as its members and invited people see it."""
    return teams.get_team(team_id, now=utc_now())
