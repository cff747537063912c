"""The roles that the product ships: seeded once, then the owner's to edit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from app.domain.actor import SYSTEM
from app.models.staff import PermissionView, Role
from app.services.audit import record_change
from app.services.unit_of_work import session, transactional

READ, WRITE, DELETE, EXPORT = "can_read", "can_write", "can_delete", "can_export"
ALL = (READ, WRITE, DELETE, EXPORT)
LOOK = (READ, EXPORT)

# Screens that come with a menu entry: (menu category, entry).
MENU = {
    "RedemptionDeskView": ("counter", "redeem"),
    "WalkInView": ("counter", "walk_in"),
    "OrderView": ("counter", "orders"),
    "CustomerView": ("counter", "customers"),
    "CampaignView": ("group_buy", "campaigns"),
    "TeamView": ("group_buy", "teams"),
    "VoucherView": ("group_buy", "vouchers"),
    "RedemptionView": ("group_buy", "redemptions"),
    "RedemptionAttemptView": ("group_buy", "attempts"),
    "PaymentView": ("money", "payments"),
    "RefundView": ("money", "refunds"),
    "StoreView": ("places", "stores"),
    "RoomView": ("places", "rooms"),
    "RoomBlockView": ("places", "room_blocks"),
    "OpeningHoursView": ("places", "opening_hours"),
    "MediaView": ("places", "media"),
    "RoomFacilityView": ("places", "room_facilities"),
    "FacilityView": ("places", "facilities"),
    "RoomTypeView": ("places", "room_types"),
    "PriceRuleView": ("rules", "price_rules"),
    "PriceTrialView": ("rules", "price_trial"),
    "DiscountRuleView": ("rules", "discount_rules"),
    "CalendarDayView": ("rules", "calendar_days"),
    "BookingSessionView": ("rules", "sessions"),
    "BookingPolicyView": ("rules", "policies"),
    "NotificationTemplateView": ("rules", "templates"),
    "NotificationView": ("administration", "outbox"),
    "AuditEntryView": ("administration", "audit"),
}
DESK = {"RedemptionDeskView": (READ, WRITE), "WalkInView": (READ, WRITE)}
ORDERS = {"OrderView": (READ, EXPORT, "can_act")}
GROUP_BUY_RECORDS = dict.fromkeys(("VoucherView", "RedemptionView", "TeamView"), LOOK)
MONEY = dict.fromkeys(("PaymentView", "RefundView"), LOOK)
PLACES = dict.fromkeys(
    ("RoomView", "RoomBlockView", "OpeningHoursView", "MediaView", "RoomFacilityView"), ALL
)
PRICES = dict.fromkeys(
    ("PriceRuleView", "DiscountRuleView", "CalendarDayView", "BookingSessionView", "BookingPolicyView"), ALL
)

# The owner holds every permission: the framework grants them to that role whenever they are created.
ROLES: dict[str, dict[str, tuple[str, ...]]] = {
    "Manager": {
        **DESK,
        "RedemptionDeskView": (READ, WRITE, "can_reverse"),
        **ORDERS,
        **GROUP_BUY_RECORDS,
        "RedemptionAttemptView": LOOK,
        **MONEY,
        **PLACES,
        **PRICES,
        "PriceTrialView": (READ,),
        "StoreView": (READ, WRITE, EXPORT),
        "FacilityView": (READ, WRITE),
        "RoomTypeView": (READ,),
        "CampaignView": (*ALL, "can_publish", "can_pause", "can_end"),
        "CustomerView": LOOK,
        "NotificationView": (READ, EXPORT, "can_resend"),
        "NotificationTemplateView": (READ,),
        "AuditEntryView": LOOK,
    },
    "Cashier": {
        **DESK,
        **ORDERS,
        "RedemptionView": (READ,),
        "VoucherView": (READ,),
        "CampaignView": (READ,),
        "RoomView": (READ,),
    },
    "Service": {
        "OrderView": (READ,),
        "CustomerView": (READ,),
        "VoucherView": (READ,),
        "RedemptionView": (READ,),
        "RefundView": (READ,),
        "CampaignView": (READ,),
        "NotificationView": (READ, "can_resend"),
    },
    "Analyst": {
        "OrderView": LOOK,
        **MONEY,
        **GROUP_BUY_RECORDS,
        "CampaignView": LOOK,
        "RoomView": LOOK,
        "StoreView": LOOK,
        "PriceRuleView": LOOK,
        "DiscountRuleView": LOOK,
        "CalendarDayView": LOOK,
        "PriceTrialView": (READ,),
    },
}


@transactional
def sync_roles(*, now: datetime) -> None:
    """Create the roles that are missing with their permissions; roles that exist are the owner's and stay.

    The permissions themselves are created by the framework before this runs.
    """
    rows = session().scalars(select(PermissionView)).all()
    known = {(row.permission.name, row.view_menu.name): row for row in rows}
    existing = set(session().scalars(select(Role.name)).all())
    for name, screens in ROLES.items():
        if name not in existing:
            wanted = _grants(screens)
            session().add(Role(name=name, permissions=[known[pair] for pair in wanted if pair in known]))
            record_change(
                actor=SYSTEM, action="create", entity="ab_role", entity_id=name, after={"name": name}, now=now
            )


def _grants(screens: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    grants = [(permission, screen) for screen, permissions in screens.items() for permission in permissions]
    menus = {entry for screen in screens for entry in MENU.get(screen, ())}
    return grants + [("menu_access", name) for name in sorted(menus)]
