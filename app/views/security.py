"""Logging in, permissions of a request, and the security manager that holds them together."""

from __future__ import annotations

import hmac
import logging
from typing import Any

from flask import current_app, flash, g, has_request_context, make_response, redirect, request, session
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import no_cache
from flask_appbuilder.security.sqla.manager import SecurityManager
from flask_appbuilder.security.sqla.models import (
    Permission,
    PermissionView,
    Role,
    ViewMenu,
    assoc_group_role,
    assoc_permissionview_role,
    assoc_user_group,
    assoc_user_role,
)
from flask_appbuilder.security.views import AuthDBView as FabLoginView
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_limiter import Limiter
from flask_login import current_user, login_user, logout_user
from limits import parse as parse_limit
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import Select, func, or_, select, union, update
from sqlalchemy.orm import selectinload
from werkzeug.security import check_password_hash
from werkzeug.wrappers import Response
from wtforms import validators

from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.extensions import keyring, use_scope
from app.models.staff import Staff
from app.views.kit.arguments import local_path
from app.views.kit.converter import KitForm, required
from app.views.kit.fields import SecretField, TextField

log = logging.getLogger(__name__)

MAX_PASSWORD = 200
PASSWORD_MARK = "password_mark"
_GRANTS = "quefang.grants"
_PUBLIC = 0


class LoginForm(KitForm):
    """Name and password."""

    username = TextField(_l("Username"), validators=[required(), validators.Length(max=320)])
    password = SecretField(_l("Password"), validators=[required(), validators.Length(max=MAX_PASSWORD)])


class LoginGate:
    """Counts failed logins by account and address; unknown accounts count like known ones."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.fallback = FixedWindowRateLimiter(MemoryStorage())

    def _call(self, method: str, *names: str) -> Any:
        """Ask the shared counter, or this process's own one while the shared one is away."""
        limit = parse_limit(current_app.config.get("STAFF_LOGIN_FAILURE_LIMIT", "10 per minute"))
        try:
            return getattr(self.limiter.limiter, method)(limit, "staff-login", *names)
        except Exception:
            # Redis may be gone in many ways; none of them may lock the staff out or the limit off.
            log.warning("login failures are counted in this process only")
            return getattr(self.fallback, method)(limit, "staff-login", *names)

    @staticmethod
    def names(username: str) -> tuple[str, str]:
        """Return what is counted together: the account as typed, folded, and the address."""
        return username.strip().casefold()[:320], request.remote_addr or ""

    def enter(self, username: str) -> int:
        """Count a try; return 0 when it may go on, else the seconds to wait."""
        if not current_app.config.get("RATELIMIT_ENABLED", True):
            return 0
        names = self.names(username)
        if self._call("hit", *names):
            return 0
        reset_at = self._call("get_window_stats", *names).reset_time
        return max(1, int(reset_at - utc_now().timestamp()) + 1)

    def forget(self, username: str) -> None:
        """Drop the count after a successful login: only failures are limited."""
        if current_app.config.get("RATELIMIT_ENABLED", True):
            self._call("clear", *self.names(username))


class AuthDBView(FabLoginView):
    """Login page and logout; keeps FAB's name, because FAB builds addresses from it."""

    @expose("/login/", methods=["GET", "POST"])
    @no_cache
    def login(self) -> Any:
        """Show the form, or log in: 401 for a wrong name or password alike, 429 after too many failures."""
        if current_user.is_authenticated:
            return redirect(self._next_url())
        form = LoginForm()
        if not form.validate_on_submit():
            return self._page(form, 422 if request.method == "POST" else 200)
        gate: LoginGate = self.appbuilder.sm.login_gate
        username, password = str(form.username.data), str(form.password.data)
        seconds = gate.enter(username)
        if seconds:
            flash(_("Too many failed logins. Please wait a minute."), "danger")
            answer = make_response(self._page(form, 429))
            answer.headers["Retry-After"] = str(seconds)
            return answer
        user = self.appbuilder.sm.auth_user_db(username, password)
        if user is None:
            flash(str(self.invalid_login_message), "danger")
            return self._page(form, 401)
        gate.forget(username)
        return self._enter(user)

    def _enter(self, user: Staff) -> Response:
        # Language survives a login, nothing else of an older session does.
        locale = session.get("locale")
        session.clear()
        if locale:
            session["locale"] = locale
        session[PASSWORD_MARK] = password_mark(user)
        login_user(user, remember=False)
        return redirect(self._next_url())

    def _next_url(self) -> str:
        wanted = request.args.get("next") or ""
        own = wanted.removeprefix(request.host_url.rstrip("/"))
        return local_path(own) or str(self.appbuilder.get_url_for_index)

    def _page(self, form: LoginForm, status: int) -> tuple[str, int]:
        return self.render_template(self.login_template, title=self.title, form=form), status

    @expose("/logout/", methods=["POST"])
    def logout(self) -> Response:
        """Log out; by POST only, so that no foreign page can do it."""
        logout_user()
        session.pop(PASSWORD_MARK, None)
        return redirect(self.appbuilder.get_url_for_login)


def password_mark(user: Staff) -> str:
    """Return what a session remembers of the password, so that changing it ends all other sessions."""
    return keyring.keyed_hash("password-mark", user.password or "")[:32]


class QuefangSecurityManager(SecurityManager):
    """FAB's security on the staff table: one permission query a request, no REST, no charts."""

    user_model = Staff
    authdbview = AuthDBView
    userstatschartview = None
    logout_by_post = True

    def __init__(self, appbuilder: Any) -> None:
        if current_app.config.get("FAB_ROLES"):
            raise TypeError(
                "FAB_ROLES matches by prefix and grants too much; roles are seeded into the database"
            )
        super().__init__(appbuilder)
        self.login_gate = LoginGate(self.limiter)

    def create_limiter(self, app: Any) -> Limiter:
        """Use the application's limiter, so that there is one storage and one configuration."""
        existing: set[Limiter] = app.extensions.get("limiter") or set()
        found: Limiter = next(iter(existing), None) or super().create_limiter(app)
        return found

    def register_views(self) -> None:
        """Register log-in and the own profile; FAB's user, role, group and API views stay out."""
        from app.views.staff import ProfileView

        self.auth_view = self.authdbview()
        self.appbuilder.add_view_no_menu(self.auth_view)
        self.user_view = self.appbuilder.add_view_no_menu(ProfileView)

    # --- who is logged in

    def load_user(self, pk: Any) -> Staff | None:
        """Return the account of a session if it is active and its password is still the same."""
        user = self.get_user_by_id(int(pk)) if str(pk).isdigit() else None
        if user is None or not user.is_active:
            return None
        mark = session.get(PASSWORD_MARK) if has_request_context() else None
        return user if mark is None or hmac.compare_digest(mark, password_mark(user)) else None

    def get_user_by_id(self, pk: Any) -> Staff | None:
        """Return an account with its stores; read in full, because the scope is only made from them."""
        with use_scope(ALL_STORES):
            options = [selectinload(Staff.stores)]
            found: Staff | None = self.session.get(Staff, pk, options=options)
            return found

    def auth_user_db(self, username: str, password: str) -> Staff | None:
        """Return the account for a name (or e-mail) and password, else None.

        Unknown, inactive and known accounts cost the same: one look-up, one hash, one update.
        """
        user = self._login_candidate(username)
        # The hash is slow; nobody has to wait for this transaction meanwhile.
        self.session.commit()
        usable = user is not None and bool(user.is_active) and bool(user.password)
        stored = user.password if user is not None and usable else self._fake_hash()
        is_right = check_password_hash(stored or "", password) and usable
        self._count_login(user.id if user is not None else -1, is_right)
        return user if is_right else None

    def _login_candidate(self, username: str) -> Staff | None:
        name = (username or "").strip()
        matches = or_(Staff.username == name, func.lower(Staff.email) == name.lower())
        found = self.session.scalars(select(Staff).where(matches)).all()
        by_name: Staff | None = next((user for user in found if user.username == name), None)
        return by_name or next(iter(found), None)

    def _fake_hash(self) -> str:
        return str(current_app.config["AUTH_DB_FAKE_PASSWORD_HASH_CHECK"])

    def _count_login(self, user_id: int, is_right: bool) -> None:
        failures = func.coalesce(Staff.fail_login_count, 0)
        values: dict[str, Any] = {"fail_login_count": failures + 1}
        if is_right:
            values = {
                "fail_login_count": 0,
                "login_count": func.coalesce(Staff.login_count, 0) + 1,
                # FAB's column is naive; it holds UTC.
                "last_login": utc_now().replace(tzinfo=None),
            }
        statement = update(Staff).where(Staff.id == user_id).values(values)
        self.session.execute(statement, execution_options={"synchronize_session": False})
        self.session.commit()

    # --- what they may do

    def has_access(self, permission_name: str, view_name: str) -> bool:
        """Tell whether the current user has a permission; asks the database once a request."""
        return (permission_name, view_name) in self.granted()

    def is_item_public(self, permission_name: str, view_name: str) -> bool:
        """Tell whether everybody has a permission."""
        return (permission_name, view_name) in self._granted_to(_PUBLIC)

    def get_user_menu_access(self, menu_names: list[str] | None = None) -> set[str]:
        """Return the menu entries that the current user may see."""
        return {view for permission, view in self.granted() if permission == "menu_access"}

    def granted(self) -> frozenset[tuple[str, str]]:
        """Return the (permission, view) pairs of the current user."""
        user = g.get("user")
        if user is None or not user.is_authenticated:
            return self._granted_to(_PUBLIC)
        return self._granted_to(user.id) if user.is_active else frozenset()

    def _granted_to(self, user_id: int) -> frozenset[tuple[str, str]]:
        # Kept on the request itself: `g` may outlive it where an application context is already pushed.
        cache: dict[int, frozenset[tuple[str, str]]] = request.environ.setdefault(_GRANTS, {})
        if user_id not in cache:
            rows = self.session.execute(self._grants_query(user_id))
            cache[user_id] = frozenset((permission, view) for permission, view in rows)
        return cache[user_id]

    def _grants_query(self, user_id: int) -> Select[Any]:
        links = assoc_permissionview_role
        columns = select(Permission.name, ViewMenu.name).distinct()
        joined = (
            columns.join_from(PermissionView, links, links.c.permission_view_id == PermissionView.id)
            .join(Permission, Permission.id == PermissionView.permission_id)
            .join(ViewMenu, ViewMenu.id == PermissionView.view_menu_id)
        )
        return joined.where(links.c.role_id.in_(self._role_ids(user_id)))

    def _role_ids(self, user_id: int) -> Any:
        if user_id == _PUBLIC:
            return select(Role.id).where(Role.name == self.auth_role_public)
        own = select(assoc_user_role.c.role_id).where(assoc_user_role.c.user_id == user_id)
        groups, members = assoc_group_role, assoc_user_group
        by_group = select(groups.c.role_id).join_from(
            groups, members, members.c.group_id == groups.c.group_id
        )
        return union(own, by_group.where(members.c.user_id == user_id))
