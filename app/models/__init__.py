"""Tables, constraints and relationships; no decisions."""

from app.models.bills import Bill, BillDifference, BillService, BillSum
from app.models.bookings import Booking
from app.models.calendar_days import CalendarDay, CalendarKind
from app.models.campaigns import Campaign, CampaignBuyer, CampaignEvent, Team
from app.models.changes import OrderChange
from app.models.customers import Customer, CustomerIdentity, CustomerSession, MessageConsent
from app.models.discounts import DiscountDays, DiscountRule
from app.models.doors import DoorAccess
from app.models.notifications import Notification, NotificationTemplate, Recipient
from app.models.operations import AuditEntry, IdempotencyKey, JobRun
from app.models.orders import Order, OrderEvent, OrderLine, OrderSource
from app.models.payments import (
    ChannelCredential,
    ChannelExclusion,
    Payment,
    PaymentCallback,
    Refund,
)
from app.models.pricing import BookingPolicy, BookingSession, DayKind, PriceKind, PriceRule, PriceScope
from app.models.refund_requests import RefundRequest
from app.models.rooms import Facility, Room, RoomBlock, RoomFacility, RoomType
from app.models.shifts import CounterEntry, Shift, ShiftCount
from app.models.shipping import ShippingReport
from app.models.staff import RoleOffer, Staff
from app.models.stores import Media, MediaKind, OpeningHours, Store
from app.models.vouchers import Redemption, RedemptionAttempt, Voucher

__all__ = [
    "AuditEntry",
    "Bill",
    "BillDifference",
    "BillService",
    "BillSum",
    "Booking",
    "BookingPolicy",
    "BookingSession",
    "CalendarDay",
    "CalendarKind",
    "Campaign",
    "CampaignBuyer",
    "CampaignEvent",
    "ChannelCredential",
    "ChannelExclusion",
    "CounterEntry",
    "Customer",
    "CustomerIdentity",
    "CustomerSession",
    "DayKind",
    "DiscountDays",
    "DiscountRule",
    "DoorAccess",
    "Facility",
    "IdempotencyKey",
    "JobRun",
    "Media",
    "MediaKind",
    "MessageConsent",
    "Notification",
    "NotificationTemplate",
    "OpeningHours",
    "Order",
    "OrderChange",
    "OrderEvent",
    "OrderLine",
    "OrderSource",
    "Payment",
    "PaymentCallback",
    "PriceKind",
    "PriceRule",
    "PriceScope",
    "Recipient",
    "Redemption",
    "RedemptionAttempt",
    "Refund",
    "RefundRequest",
    "RoleOffer",
    "Room",
    "RoomBlock",
    "RoomFacility",
    "RoomType",
    "Shift",
    "ShiftCount",
    "ShippingReport",
    "Staff",
    "Store",
    "Team",
    "Voucher",
]
