"""Mounts Flask-AppBuilder with the product's screens, its menu and what each request needs."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, request, session
from flask_appbuilder import AppBuilder
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.domain.actor import ALL_STORES, NO_STORES, StoreScope
from app.extensions import db, set_scope, set_writing
from app.views import campaigns, home, messages, orders, prices, staff, stores, vouchers
from app.views.errors import register_error_pages
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
        "fa-bell-concierge",
        [
            (vouchers.RedemptionDeskView, "redeem", _l("Redeem"), "fa-qrcode"),
            (orders.WalkInView, "walk_in", _l("Walk-in"), "fa-door-open"),
            (orders.OrderView, "orders", _l("Orders"), "fa-receipt"),
            (messages.CustomerView, "customers", _l("Customers"), "fa-user"),
        ],
    ),
    (
        "group_buy",
        _l("Group buy"),
        "fa-ticket",
        [
            (campaigns.CampaignView, "campaigns", _l("Group-buy campaigns"), "fa-bullhorn"),
            (campaigns.TeamView, "teams", _l("Teams"), "fa-users"),
            (vouchers.VoucherView, "vouchers", _l("Vouchers"), "fa-ticket"),
            (vouchers.RedemptionView, "redemptions", _l("Redemption records"), "fa-check"),
            (vouchers.RedemptionAttemptView, "attempts", _l("Redemption attempts"), "fa-list"),
        ],
    ),
    (
        "money",
        _l("Money"),
        "fa-wallet",
        [
            (orders.PaymentView, "payments", _l("Payments"), "fa-credit-card"),
            (orders.RefundView, "refunds", _l("Refunds"), "fa-rotate-left"),
        ],
    ),
    (
        "places",
        _l("Stores and rooms"),
        "fa-store",
        [
            (stores.StoreView, "stores", _l("Stores"), "fa-store"),
            (stores.RoomView, "rooms", _l("Rooms"), "fa-door-closed"),
            (stores.RoomBlockView, "room_blocks", _l("Room blocks"), "fa-ban"),
            (stores.OpeningHoursView, "opening_hours", _l("Opening hours"), "fa-clock"),
            (stores.MediaView, "media", _l("Pictures"), "fa-image"),
            (stores.RoomFacilityView, "room_facilities", _l("Facilities of rooms"), "fa-couch"),
            (stores.FacilityView, "facilities", _l("Facilities"), "fa-list"),
            (stores.RoomTypeView, "room_types", _l("Room types"), "fa-tags"),
        ],
    ),
    (
        "rules",
        _l("Prices and rules"),
        "fa-sliders",
        [
            (prices.PriceRuleView, "price_rules", _l("Price rules"), "fa-yen-sign"),
            (prices.BookingSessionView, "sessions", _l("Sessions"), "fa-clock"),
            (prices.BookingPolicyView, "policies", _l("Booking rules"), "fa-gavel"),
            (messages.NotificationTemplateView, "templates", _l("Message templates"), "fa-envelope"),
        ],
    ),
    (
        "administration",
        _l("Administration"),
        "fa-gear",
        [
            (staff.StaffView, "staff", _l("Staff"), "fa-id-badge"),
            (staff.RoleView, "roles", _l("Roles"), "fa-key"),
            (messages.NotificationView, "outbox", _l("Messages"), "fa-paper-plane"),
            (messages.AuditEntryView, "audit", _l("Audit log"), "fa-book"),
        ],
    ),
]


def register_back_office(app: Flask) -> None:
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
