"""Mounts Flask-AppBuilder with the product's screens, its menu and what each request needs."""

from __future__ import annotations

import secrets
from typing import Any

from flask import current_app, request, session
from flask_appbuilder import AppBuilder
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.domain.actor import ALL_STORES, NO_STORES, StoreScope
from app.extensions import Application, db, set_scope, set_writing
from app.views import (
    bills,
    campaigns,
    counter_refunds,
    home,
    media,
    messages,
    orders,
    payment_channels,
    payments,
    policies,
    price_extras,
    price_trial,
    prices,
    receipts,
    refund_requests,
    shifts,
    staff,
    stores,
    vouchers,
    walk_ins,
)
from app.views.errors import register_error_pages
from app.views.headers import register_headers
from app.views.kit import disable_fab_rest, install_kit
from app.views.security import QuefangSecurityManager

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
INTERFACE = "/api/"
# Everybody else sees the stores that the account is assigned to.
ALL_STORE_ROLES = frozenset({"Owner"})

# (menu name, label, icon, [(view, entry name, label, icon)]); a menu entry is never named like its class.
Entry = tuple[type[Any], str, Any, str]
MENU: list[tuple[str, Any, str, list[Entry]]] = [
    (
        "counter",
        _l("Counter"),
        "bell",
        [
            (vouchers.RedemptionDeskView, "redeem", _l("Redeem"), "qrcode"),
            (walk_ins.WalkInView, "walk_in", _l("Walk-in"), "door-enter"),
            (orders.OrderView, "orders", _l("Orders"), "receipt-yuan"),
            (shifts.ShiftView, "shifts", _l("Shifts"), "clipboard-list"),
            (
                counter_refunds.CounterRefundView,
                "counter_refunds",
                _l("Refunds to hand out"),
                "receipt-refund",
            ),
            (messages.CustomerView, "customers", _l("Customers"), "user"),
        ],
    ),
    (
        "group_buy",
        _l("Group buy"),
        "ticket",
        [
            (campaigns.CampaignView, "campaigns", _l("Group-buy campaigns"), "speakerphone"),
            (campaigns.TeamView, "teams", _l("Teams"), "users-group"),
            (vouchers.VoucherView, "vouchers", _l("Vouchers"), "ticket"),
            (vouchers.RedemptionView, "redemptions", _l("Redemption records"), "check"),
            (vouchers.RedemptionAttemptView, "attempts", _l("Redemption attempts"), "history"),
        ],
    ),
    (
        "money",
        _l("Money"),
        "cash",
        [
            (payments.PaymentView, "payments", _l("Payments"), "credit-card"),
            (
                refund_requests.RefundRequestView,
                "refund_requests",
                _l("Refund requests"),
                "message-2",
            ),
            (payments.RefundView, "refunds", _l("Refunds"), "arrow-back-up"),
            (payments.ShippingReportView, "shipping_reports", _l("Reports to WeChat"), "send"),
            (bills.BillView, "bills", _l("Daily bills"), "checklist"),
            (bills.BillDifferenceView, "bill_differences", _l("Differences to bills"), "alert-triangle"),
        ],
    ),
    (
        "places",
        _l("Stores and rooms"),
        "building-store",
        [
            (stores.StoreView, "stores", _l("Stores"), "building-store"),
            (stores.RoomView, "rooms", _l("Rooms"), "armchair"),
            (stores.RoomBlockView, "room_blocks", _l("Room blocks"), "circle-x"),
            (stores.OpeningHoursView, "opening_hours", _l("Opening hours"), "clock"),
            (stores.MediaView, "media", _l("Pictures"), "photo"),
            (stores.RoomFacilityView, "room_facilities", _l("Facilities of rooms"), "list"),
            (stores.FacilityView, "facilities", _l("Facilities"), "list"),
            (stores.RoomTypeView, "room_types", _l("Room types"), "tag"),
        ],
    ),
    (
        "rules",
        _l("Prices and rules"),
        "settings",
        [
            (prices.PriceRuleView, "price_rules", _l("Price rules"), "receipt-yuan"),
            (price_trial.PriceTrialView, "price_trial", _l("Try a date"), "zoom-check"),
            (price_extras.DiscountRuleView, "discount_rules", _l("Discount rules"), "discount"),
            (price_extras.CalendarDayView, "calendar_days", _l("Holiday calendar"), "calendar-event"),
            (prices.BookingSessionView, "sessions", _l("Sessions"), "clock"),
            (policies.BookingPolicyView, "policies", _l("Booking rules"), "list-details"),
            (messages.NotificationTemplateView, "templates", _l("Message templates"), "mail"),
        ],
    ),
    (
        "administration",
        _l("Administration"),
        "shield",
        [
            (
                payment_channels.PaymentChannelView,
                "payment_channels",
                _l("Payment channels"),
                "credit-card",
            ),
            (staff.StaffView, "staff", _l("Staff"), "user-shield"),
            (staff.RoleView, "roles", _l("Roles"), "key"),
            (messages.NotificationView, "outbox", _l("Messages"), "send"),
            (messages.AuditEntryView, "audit", _l("Audit log"), "history"),
        ],
    ),
]


def register_back_office(app: Application) -> None:
    """Mount the back office on *app*."""
    disable_fab_rest(app)
    with app.app_context():
        appbuilder = AppBuilder(
            indexview=home.HomeView,
            base_template="appbuilder/baselayout.html",
            security_manager_class=QuefangSecurityManager,
            update_perms=app.config["FAB_UPDATE_PERMS"],
        )
        # Before FAB's own: by the time anything is read, the request's stores are known.
        app.before_request(enter_scope)
        app.teardown_request(leave_scope)
        appbuilder.init_app(app, db.session)
        _add_views(appbuilder)
        install_kit(app, appbuilder)
    app.jinja_env.globals["may"] = appbuilder.sm.has_access
    app.jinja_env.globals["bill_run_form"] = bills.run_form
    app.jinja_env.globals["new_nonce"] = lambda: secrets.token_urlsafe(12)
    app.register_blueprint(media.blueprint)
    register_headers(app)
    app.after_request(forbid_caching)
    register_error_pages(app)


def _add_views(appbuilder: AppBuilder) -> None:
    # Each screen under its menu, in the order of the table.
    for category, label, icon, entries in MENU:
        for view, name, entry_label, entry_icon in entries:
            appbuilder.add_view(
                view,
                name,
                label=entry_label,
                icon=entry_icon,
                category=category,
                category_label=label,
                category_icon=icon,
            )
    # Reached from the order that it belongs to.
    appbuilder.add_view_no_menu(receipts.ReceiptView)


def is_interface() -> bool:
    """Tell whether the request is one of the customers' JSON interface."""
    return request.path.startswith(INTERFACE)


def enter_scope() -> None:
    """Limit reads to the stores of whoever is logged in; nobody sees nothing."""
    if is_interface():
        return
    set_writing(request.method not in SAFE_METHODS)
    set_scope(scope_of_user())


def scope_of_user() -> StoreScope:
    """Return the stores of the logged-in member of staff: all of them for owners."""
    if request.endpoint == "static" or not current_user or not current_user.is_authenticated:
        return NO_STORES
    if ALL_STORE_ROLES & {role.name for role in current_user.roles}:
        return ALL_STORES
    return StoreScope(store_ids=frozenset(store.id for store in current_user.stores))


def leave_scope(_error: BaseException | None = None) -> None:
    """Forget the request's stores: the next request on this thread starts from nothing."""
    if not is_interface():
        set_scope(NO_STORES)
        set_writing(False)


def forbid_caching(response: Response) -> Response:
    """Pages hold customers' data; nothing of them stays in shared or browser caches."""
    if not is_interface() and request.endpoint not in ("static", "appbuilder.static", "media.file"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def staff_language() -> str:
    """Return the language that the user chose, else the default; never a language that we do not speak."""
    languages: dict[str, Any] = current_app.config["LANGUAGES"]
    chosen = session.get("locale")
    return str(chosen if chosen in languages else current_app.config["BABEL_DEFAULT_LOCALE"])
