"""Campaigns in the back office: drafts are edited, states move by actions, sold vouchers keep their terms."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.clock import utc_now
from app.models import Campaign, Team
from app.services import campaigns
from app.views import shapes
from app.views.base import KitInterface, LedgerView, ReferenceView, action
from app.views.kit.current import current_actor
from app.views.shape_fields import BandsField, DatesField, WeekdaysField

USABLE_FIELDS: dict[str, Any] = {
    "weekdays": WeekdaysField(_l("Weekdays"), description=_l("None ticked: every day.")),
    "bands": BandsField(
        _l("Usable times"), description=_l("As in 10:00-18:00, 19:00-23:00. Empty: the whole day.")
    ),
    "excluded_on": DatesField(_l("Excluded dates"), description=_l("As in 2026-10-01, 2026-10-02.")),
}


class CampaignView(ReferenceView):
    """Packages sold as vouchers."""

    route_base = "/campaigns"
    datamodel = KitInterface(Campaign)
    list_title = _l("Group-buy campaigns")
    item_title = _l("Group-buy campaign")
    label_columns = {
        "title": _l("Title"),
        "stores": _l("Stores"),
        "room_types": _l("Room types"),
        "rooms": _l("Rooms"),
        "package_minutes": _l("Length (minutes)"),
        "people": _l("Persons"),
        "weekdays": _l("Weekdays"),
        "bands": _l("Usable times"),
        "excluded_on": _l("Excluded dates"),
        "price_fen": _l("Price"),
        "list_price_fen": _l("List price"),
        "team_size": _l("Team size"),
        "team_minutes": _l("Time to fill the team (minutes)"),
        "sale_starts_at": _l("On sale from"),
        "sale_ends_at": _l("On sale until"),
        "stock": _l("Stock"),
        "sold_count": _l("Sold"),
        "per_customer_limit": _l("Limit per customer"),
        "valid_days": _l("Valid for days"),
        "valid_until_at": _l("Valid until"),
        "is_refunded_on_expiry": _l("Refund when expired"),
        "description_html": _l("Description"),
        "terms": _l("Terms"),
        "cover_url": _l("Cover"),
        "share_title": _l("Share title"),
        "share_image_url": _l("Share picture"),
    }
    small_relations = frozenset({"stores", "room_types", "rooms"})
    list_columns = [
        "title",
        "status",
        "price_fen",
        "list_price_fen",
        "team_size",
        "sold_count",
        "sale_ends_at",
    ]
    add_fieldsets = [
        (
            _l("Offer"),
            {
                "fields": [
                    *("title", "package_minutes", "price_fen", "list_price_fen", "people"),
                    *("team_size", "team_minutes"),
                ]
            },
        ),
        (
            _l("Where and when usable"),
            {"fields": ["stores", "room_types", "rooms", "weekdays", "bands", "excluded_on"]},
        ),
        (
            _l("Sale"),
            {
                "fields": [
                    *("sale_starts_at", "sale_ends_at", "stock", "per_customer_limit"),
                    *("valid_days", "valid_until_at", "is_refunded_on_expiry"),
                ]
            },
        ),
        (
            _l("Presentation"),
            {"fields": ["cover_url", "share_title", "share_image_url", "description_html", "terms"]},
        ),
    ]
    edit_fieldsets = add_fieldsets
    add_columns: list[str] = []
    edit_columns: list[str] = []
    add_form_extra_fields = USABLE_FIELDS
    edit_form_extra_fields = USABLE_FIELDS
    show_fieldsets = [(_l("State"), {"fields": ["status", "sold_count"]}), *add_fieldsets]
    show_columns: list[str] = []
    formatters_columns = {
        "weekdays": shapes.weekdays_text,
        "bands": shapes.bands_text,
        "excluded_on": shapes.dates_text,
        "cover_url": shapes.picture,
        "share_image_url": shapes.picture,
        "description_html": shapes.plain_html,
    }
    search_columns = ["title", "status", "stores", "team_size"]
    quick_search_columns = ["title"]
    order_columns = ["title", "price_fen", "sold_count", "sale_ends_at"]
    base_order = ("id", "desc")
    description_columns = {
        "room_types": _l("Empty, as the rooms: every room of the stores."),
        "team_size": _l("1: everybody buys alone."),
        "stock": _l("Empty: without limit."),
        "valid_days": _l("Days from the purchase; or give the last day instead."),
        "description_html": _l("Text with simple markup; anything else is removed."),
        "is_refunded_on_expiry": _l("What was not redeemed in time is refunded by itself."),
    }
    constraint_messages = {
        "ck_campaigns_price_order": ("list_price_fen", _l("The list price must not be below the price.")),
        "ck_campaigns_sale_order": ("sale_ends_at", _l("The end must be after the start.")),
        "ck_campaigns_stock_not_oversold": ("stock", _l("More than this has been sold already.")),
        "ck_campaigns_team_minutes_given": ("team_minutes", _l("A team needs a time limit.")),
        "ck_campaigns_validity_given": ("valid_days", _l("Give a number of days or a date.")),
        "ck_campaigns_minutes_range": ("package_minutes", _l("From 1 to 1440 minutes.")),
    }

    def pre_add(self, item: Any) -> None:
        """A campaign begins as a draft; its text is cleaned before it is stored."""
        item.created_at = utc_now()
        campaigns.prepare(item)

    def pre_update(self, item: Any) -> None:
        """As for a new campaign; vouchers that are sold keep the terms they were sold under."""
        campaigns.check_reach(item.id, actor=current_actor())
        campaigns.prepare(item)

    def pre_delete(self, item: Any) -> None:
        """A campaign of several stores goes only by somebody who works in all of them."""
        campaigns.check_reach(item.id, actor=current_actor())

    @action("publish", _l("Publish"), _l("Publish these campaigns?"), "fa-bullhorn")
    def publish(self, items: Any) -> None:
        """Put campaigns on sale."""
        self._move(items, "publish")

    @action("pause", _l("Pause"), _l("Pause these campaigns?"), "fa-pause")
    def pause(self, items: Any) -> None:
        """Take campaigns off sale for a while."""
        self._move(items, "pause")

    @action("end", _l("End"), _l("End these campaigns for good?"), "fa-stop")
    def end(self, items: Any) -> None:
        """End campaigns."""
        self._move(items, "end")

    def _move(self, items: Any, event: str) -> None:
        ids = [row.id for row in (items if isinstance(items, list) else [items])]
        campaigns.move_campaigns(ids, event, actor=current_actor(), now=utc_now())


class TeamView(LedgerView):
    """Teams and how full they are."""

    route_base = "/teams"
    datamodel = KitInterface(Team)
    list_title = _l("Teams")
    item_title = _l("Team")
    label_columns = {
        "no": _l("Number"),
        "campaign": _l("Group-buy campaign"),
        "starter": _l("Started by"),
        "size": _l("Team size"),
        "joined_count": _l("Members"),
        "expires_at": _l("Until"),
    }
    list_columns = ["no", "campaign", "starter", "joined_count", "size", "status", "expires_at"]
    show_columns = [*list_columns, "created_at"]
    search_columns = ["status", "campaign"]
    quick_search_columns = ["no"]
    order_columns = ["created_at", "expires_at", "joined_count"]
    base_order = ("created_at", "desc")
