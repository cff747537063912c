"""The roles that the product ships: given once, then the owner's to edit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from app.domain.actor import SYSTEM
from app.models.staff import PermissionView, Role, RoleOffer
from app.services.audit import record_change
from app.services.inserts import insert_into
from app.services.unit_of_work import session, transactional

READ, WRITE, DELETE, EXPORT = "can_read", "can_write", "can_delete", "can_export"
ALL = (READ, WRITE, DELETE, EXPORT)
LOOK = (READ, EXPORT)

# A permission and the screen that it is for.
Grant = tuple[str, str]

# Screens that come with a menu entry: (menu category, entry).
MENU = {
    "RedemptionDeskView": ("counter", "redeem"),
    "WalkInView": ("counter", "walk_in"),
    "OrderView": ("counter", "orders"),
    "ShiftView": ("counter", "shifts"),
    "CounterRefundView": ("counter", "counter_refunds"),
    "CustomerView": ("counter", "customers"),
    "CampaignView": ("group_buy", "campaigns"),
    "TeamView": ("group_buy", "teams"),
    "VoucherView": ("group_buy", "vouchers"),
    "RedemptionView": ("group_buy", "redemptions"),
    "RedemptionAttemptView": ("group_buy", "attempts"),
    "PaymentView": ("money", "payments"),
    "RefundRequestView": ("money", "refund_requests"),
    "RefundView": ("money", "refunds"),
    "ShippingReportView": ("money", "shipping_reports"),
    "BillView": ("money", "bills"),
    "BillDifferenceView": ("money", "bill_differences"),
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
    "PaymentChannelView": ("administration", "payment_channels"),
    "NotificationView": ("administration", "outbox"),
    "AuditEntryView": ("administration", "audit"),
}
DESK = {"RedemptionDeskView": (READ, WRITE), "WalkInView": (READ, WRITE)}
ORDERS = {"OrderView": (READ, EXPORT, "can_act", "can_adjust"), "ReceiptView": (READ,)}
TILL = {"ShiftView": (READ, WRITE), "CounterRefundView": (READ, WRITE)}
GROUP_BUY_RECORDS = dict.fromkeys(("VoucherView", "RedemptionView", "TeamView"), LOOK)
MONEY = dict.fromkeys(("PaymentView", "RefundView", "ShippingReportView"), LOOK)
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
        **TILL,
        "ShiftView": (READ, WRITE, EXPORT, "can_oversee"),
        **GROUP_BUY_RECORDS,
        "RedemptionAttemptView": LOOK,
        **MONEY,
        "RefundView": (*LOOK, "can_settle"),
        "ShippingReportView": (*LOOK, "can_resend"),
        "RefundRequestView": (READ, EXPORT, "can_decide"),
        "BillView": (*LOOK, "can_run"),
        "BillDifferenceView": (*LOOK, "can_resolve"),
        **PLACES,
        **PRICES,
        "PriceTrialView": (READ,),
        "StoreView": (READ, WRITE, EXPORT),
        "FacilityView": (READ, WRITE),
        "RoomTypeView": (READ,),
        "CampaignView": (*ALL, "can_publish", "can_pause", "can_end"),
        "CustomerView": (*LOOK, "can_blacklist"),
        "NotificationView": (READ, EXPORT, "can_resend"),
        "NotificationTemplateView": (READ,),
        # Where it is on in their stores; what it is set up with is the owner's alone.
        "PaymentChannelView": (READ, "can_switch"),
        "AuditEntryView": LOOK,
    },
    "Cashier": {
        **DESK,
        **ORDERS,
        **TILL,
        "RedemptionView": (READ,),
        "VoucherView": (READ,),
        "CampaignView": (READ,),
        "RoomView": (READ,),
    },
    "Service": {
        "OrderView": (READ,),
        "ReceiptView": (READ,),
        "CounterRefundView": (READ,),
        "CustomerView": (READ,),
        "VoucherView": (READ,),
        "RedemptionView": (READ,),
        "RefundView": (READ,),
        "RefundRequestView": (READ, "can_decide"),
        "CampaignView": (READ,),
        "NotificationView": (READ, "can_resend"),
    },
    "Analyst": {
        "OrderView": LOOK,
        "ReceiptView": (READ,),
        "ShiftView": (*LOOK, "can_oversee"),
        **MONEY,
        "RefundRequestView": LOOK,
        "BillView": LOOK,
        "BillDifferenceView": LOOK,
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
    """Create the shipped roles that are missing, and give those that exist what this version ships anew.

    Each permission is offered to a role once: what the owner has taken away does not come back, and what the
    owner has added stays. The permissions themselves are created by the framework before this runs.
    """
    rows = session().scalars(select(PermissionView)).all()
    known = {(row.permission.name, row.view_menu.name): row for row in rows}
    roles = {role.name: role for role in session().scalars(select(Role).where(Role.name.in_(ROLES)))}
    for name, screens in ROLES.items():
        role = roles.get(name) or Role(name=name)
        offered = _offers_of(name) if name in roles else set()
        fresh = [pair for pair in _grants(screens) if pair in known and pair not in offered]
        wanted = fresh + _menus_of({screen for _, screen in fresh} - {screen for _, screen in offered})
        added = [pair for pair in wanted if pair in known and known[pair] not in role.permissions]
        role.permissions.extend(known[pair] for pair in added)
        session().add(role)
        _remember(name, fresh)
        if name not in roles or added:
            _record(name, added, is_new=name not in roles, now=now)


def _grants(screens: dict[str, tuple[str, ...]]) -> list[Grant]:
    return [(permission, screen) for screen, permissions in screens.items() for permission in permissions]


def _menus_of(screens: set[str]) -> list[Grant]:
    """The menu entries of screens that a role did not have to do with before."""
    menus = {entry for screen in screens for entry in MENU.get(screen, ())}
    return [("menu_access", name) for name in sorted(menus)]


def _offers_of(role: str) -> set[Grant]:
    rows = session().execute(select(RoleOffer.permission, RoleOffer.screen).where(RoleOffer.role == role))
    return {(row.permission, row.screen) for row in rows}


def _remember(role: str, grants: list[Grant]) -> None:
    for permission, screen in grants:
        values = {"role": role, "screen": screen, "permission": permission}
        session().execute(insert_into(RoleOffer).values(**values).on_conflict_do_nothing())


def _record(name: str, added: list[Grant], *, is_new: bool, now: datetime) -> None:
    after = {"name": name} if is_new else {"permissions": [f"{screen}: {what}" for what, screen in added]}
    record_change(
        actor=SYSTEM,
        action="create" if is_new else "update",
        entity="ab_role",
        entity_id=name,
        after=after,
        now=now,
    )
