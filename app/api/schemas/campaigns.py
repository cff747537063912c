"""Campaigns, teams and vouchers."""

from __future__ import annotations

from marshmallow import fields

from app.api.schemas.base import AnswerSchema, AnyId, Choice, Id, Instant, RequestSchema, Whole, fen
from app.api.schemas.common import MediumSchema, PageQuery, words
from app.domain.states import RedemptionMethod, TeamStatus, VoucherStatus


class BandSchema(AnswerSchema):
    """A part of the local day."""

    start = fields.String(metadata={"example": "10:00"})
    end = fields.String(metadata={"example": "18:00"})


class PackageSchema(AnswerSchema):
    """What a voucher is good for; empty lists mean no restriction."""

    minutes = fields.Integer()
    people = fields.Integer()
    room_types = fields.List(fields.String())
    weekdays = fields.List(fields.Integer(), metadata={"description": "0 = Monday"})
    bands = fields.List(fields.Nested(BandSchema))
    excluded_on = fields.List(fields.String(), metadata={"description": "Local dates, YYYY-MM-DD"})


class CampaignItemSchema(AnswerSchema):
    """A campaign as lists show it; `remaining` is null where the stock has no limit."""

    id = Id()
    title = fields.String()
    cover_url = fields.String(allow_none=True)
    store_ids = fields.List(Id())
    package = fields.Nested(PackageSchema)
    price_fen = fen()
    list_price_fen = fen()
    team_size = fields.Integer()
    team_minutes = fields.Integer(allow_none=True)
    remaining = fields.Integer(allow_none=True)
    per_customer_limit = fields.Integer(allow_none=True)
    sale_starts_at = Instant()
    sale_ends_at = Instant()


class ShareTimelineSchema(AnswerSchema):
    """What sharing to the timeline shows."""

    title = fields.String()
    query = fields.String()
    image_url = fields.String(allow_none=True)


class ShareSchema(AnswerSchema):
    """What sharing shows, and where it leads."""

    title = fields.String()
    image_url = fields.String(allow_none=True)
    path = fields.String()
    timeline = fields.Nested(ShareTimelineSchema)


class CampaignSchema(CampaignItemSchema):
    """A campaign with everything that its page shows."""

    media = fields.List(fields.Nested(MediumSchema))
    description_html = fields.String()
    terms = fields.String()
    share = fields.Nested(ShareSchema)


class CampaignsQuery(PageQuery):
    """Which campaigns."""

    store_id = AnyId(load_default=None)


class ViewRequestSchema(RequestSchema):
    """Who shared the campaign, if somebody did."""

    shared_by = AnyId(load_default=None, allow_none=True)


class GroupOrderRequestSchema(ViewRequestSchema):
    """How many to buy, and in whose team."""

    quantity = Whole(low=1, high=100, required=True)
    team_id = AnyId(load_default=None, allow_none=True)


class MemberSchema(AnswerSchema):
    """A member of a team."""

    nickname = fields.String()
    avatar_url = fields.String(allow_none=True)


class TeamSchema(AnswerSchema):
    """A team as its members and invited people see it."""

    id = Id()
    campaign_id = Id()
    size = fields.Integer()
    joined = fields.Integer()
    expires_at = Instant()
    status = fields.String(metadata={"enum": words(TeamStatus)})
    members = fields.List(fields.Nested(MemberSchema))


class VoucherCampaignSchema(AnswerSchema):
    """The campaign that a voucher was sold by, under the terms of that time."""

    id = Id()
    title = fields.String()
    package = fields.Nested(PackageSchema)


class RedemptionSchema(AnswerSchema):
    """When, where and how a voucher was redeemed."""

    at = Instant()
    store_id = Id()
    room_id = Id()
    method = fields.String(metadata={"enum": words(RedemptionMethod)})


class VoucherSchema(AnswerSchema):
    """A voucher with everything that its owner is shown."""

    code = fields.String()
    status = fields.String(metadata={"enum": words(VoucherStatus)})
    status_label = fields.String()
    campaign = fields.Nested(VoucherCampaignSchema)
    order_no = fields.String()
    booking_no = fields.String(allow_none=True)
    valid_from_at = Instant()
    valid_until_at = Instant()
    usable_rooms = fields.List(Id())
    usable_bands = fields.List(fields.Nested(BandSchema))
    redemption = fields.Nested(RedemptionSchema, allow_none=True)


class VouchersQuery(PageQuery):
    """Which of one's vouchers."""

    status = Choice(words(VoucherStatus), load_default=None)


class QrSchema(AnswerSchema):
    """A signed payload for scanning that is soon worthless to others, and its picture."""

    payload = fields.String()
    expires_at = Instant()
    svg = fields.String()
