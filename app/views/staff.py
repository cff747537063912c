"""Accounts and roles of the staff, for owners only, and everybody's own profile."""

from __future__ import annotations

from typing import Any

from flask import abort, current_app, flash, redirect, request, session
from flask_appbuilder import BaseView, expose
from flask_appbuilder.hooks import before_request
from flask_appbuilder.security.sqla.models import PermissionView, Role, assoc_user_role
from flask_appbuilder.widgets import FormWidget
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.security import check_password_hash, generate_password_hash
from wtforms.validators import Email, EqualTo, Length, ValidationError

from app.extensions import current_scope
from app.models.staff import Staff
from app.services.roles import MENU
from app.views.base import KitInterface, ReferenceView, Refusal
from app.views.kit.converter import KitForm, optional, required
from app.views.kit.fields import SecretField
from app.views.kit.labels import ROW_LABELS
from app.views.kit.relation_fields import RelatedRows, RelationsField
from app.views.security import MAX_PASSWORD, PASSWORD_MARK, password_mark

MIN_PASSWORD = 10
MAX_GRANTS = 2000

# The roles that the product ships; one that the owner added is called as the owner called it.
ROLE_NAMES: dict[str, Any] = {
    "Owner": _l("Owner"),
    "Manager": _l("Manager"),
    "Cashier": _l("Cashier"),
    "Service": _l("Customer service"),
    "Analyst": _l("Analyst"),
    "Public": _l("Not logged in"),
}
PERMISSION_NAMES: dict[str, Any] = {
    "can_read": _l("See"),
    "can_write": _l("Add and edit"),
    "can_delete": _l("Delete"),
    "can_export": _l("Export"),
    "can_act": _l("Carry out next actions"),
    "can_adjust": _l("Adjust the price"),
    "can_decide": _l("Approve or refuse"),
    "can_blacklist": _l("Blacklist"),
    "can_reverse": _l("Reverse"),
    "can_oversee": _l("See everybody's"),
    "can_publish": _l("Publish"),
    "can_pause": _l("Pause"),
    "can_end": _l("End"),
    "can_resend": _l("Send again"),
    "can_settle": _l("Settle refunds"),
    "can_switch": _l("Switch on or off"),
    "can_run": _l("Fetch and compare"),
    "can_resolve": _l("Resolve differences"),
    "menu_access": _l("Menu"),
}


def role_label(name: str) -> str:
    """Return what a role is called."""
    return str(ROLE_NAMES.get(name, name))


ROW_LABELS[Role] = lambda role: role_label(role.name)


def check_strength(form: Any, field: Any) -> None:
    """Refuse passwords that are short or of one kind of character."""
    text = field.data or ""
    kinds = [any(test(char) for char in text) for test in (str.isalpha, str.isdigit)]
    if len(text) < MIN_PASSWORD or not all(kinds):
        raise ValidationError(_("At least %(count)s characters with letters and digits.", count=MIN_PASSWORD))


def at_least_one(form: Any, field: Any) -> None:
    """Require a choice of a to-many relation."""
    if not field.data and not field.errors:
        raise ValidationError(_("Please choose at least one."))


def hash_password(text: str) -> str:
    """Return the salted hash that is stored."""
    config = current_app.config
    return generate_password_hash(
        text,
        method=config.get("FAB_PASSWORD_HASH_METHOD", "scrypt"),
        salt_length=config.get("FAB_PASSWORD_HASH_SALT_LENGTH", 16),
    )


class PasswordField(SecretField):
    """Sets the password of a row to the hash of what was typed; blank leaves it."""

    def populate_obj(self, obj: Any, name: str) -> None:
        if self.data:
            obj.password = hash_password(self.data)


class RepeatedField(SecretField):
    """The second typing of a password; nothing is stored from it."""

    def populate_obj(self, obj: Any, name: str) -> None:
        """Leave the row alone."""


def password_fields(presence: Any) -> dict[str, Any]:
    """Return the two fields of a new password."""
    rules = [presence, Length(max=MAX_PASSWORD), check_strength]
    same = EqualTo("new_password", message=_l("The two passwords differ."))
    return {
        "new_password": PasswordField(_l("Password"), validators=rules),
        "password_again": RepeatedField(_l("Password again"), validators=[same]),
    }


class OwnersOnly(ReferenceView):
    """Screens that decide over permissions: staff limited to stores could widen their own rights here."""

    is_store_scoped = False

    @before_request
    def require_all_stores(self) -> None:
        """End with 403 for staff who do not see all stores, whatever their role grants."""
        if current_user.is_authenticated and not current_scope().is_all:
            abort(403)


class StaffView(OwnersOnly):
    """Accounts: who logs in, with which roles, in which stores. Accounts are switched off, never deleted."""

    route_base = "/staff"
    datamodel = KitInterface(Staff)
    exclude_route_methods = {"delete", "download"}
    list_title = _l("Staff")
    item_title = _l("Staff member")
    label_columns = {
        "username": _l("Username"),
        "get_full_name": _l("Name"),
        "last_name": _l("Family name"),
        "first_name": _l("Given name"),
        "email": _l("E-mail"),
        "roles": _l("Roles"),
        "stores": _l("Stores"),
        "active": _l("Active"),
        "last_login": _l("Last login"),
        "login_count": _l("Logins"),
        "new_password": _l("Password"),
        "password_again": _l("Password again"),
    }
    small_relations = frozenset({"roles", "stores"})
    list_columns = ["username", "get_full_name", "roles", "stores", "email", "active", "last_login"]
    show_columns = [*list_columns, "login_count"]
    search_columns = ["username", "email", "active", "roles", "stores"]
    quick_search_columns = ["username", "last_name", "first_name", "email"]
    order_columns = ["username", "email", "last_login"]
    base_order = ("username", "asc")
    add_columns = [
        *("username", "last_name", "first_name", "email", "roles", "stores", "active"),
        *("new_password", "password_again"),
    ]
    edit_columns = add_columns
    add_form_extra_fields = password_fields(required())
    edit_form_extra_fields = password_fields(optional())
    validators_columns = {"email": [Email()], "roles": [at_least_one]}
    add_form_query_rel_fields = {"roles": lambda: Role.name != current_app.config["AUTH_ROLE_PUBLIC"]}
    edit_form_query_rel_fields = add_form_query_rel_fields
    description_columns = {"stores": _l("Owners see every store; everybody else only these.")}

    def post_update(self, item: Staff) -> None:
        """Refuse to lock everybody out."""
        if not active_owner_count(self.datamodel.session):
            raise Refusal(fields={"roles": [_l("At least one active owner must remain.")]})
        if item.id == current_user.id:
            session[PASSWORD_MARK] = password_mark(item)


def active_owner_count(database: Any) -> int:
    """Return how many active accounts have the owner's role."""
    statement = (
        select(func.count(Staff.id.distinct()))
        .join(assoc_user_role, assoc_user_role.c.user_id == Staff.id)
        .join(Role, Role.id == assoc_user_role.c.role_id)
        .where(Role.name == current_app.config["AUTH_ROLE_ADMIN"], Staff.active.is_(True))
    )
    return int(database.scalar(statement) or 0)


class PermissionRows(RelatedRows):
    """Permissions as ``screen · right`` in the user's language; the page groups them by screen."""

    def label(self, row: PermissionView) -> str:
        """Return the text of one permission."""
        return f"{screen_label(row.view_menu.name)} · {permission_label(row.permission.name)}"


def permission_label(name: str) -> str:
    """Return a permission's name for people."""
    return str(PERMISSION_NAMES.get(name) or name.removeprefix("can_").replace("_", " "))


def screen_label(name: str) -> str:
    """Return the title of the screen or menu entry that a permission belongs to."""
    appbuilder = current_app.appbuilder  # type: ignore[attr-defined]
    for view in appbuilder.baseviews:
        if view.class_permission_name == name and getattr(view, "list_title", None):
            return str(view.list_title)
    # Screens without rows have the title of their menu entry.
    entry = appbuilder.menu.find(MENU[name][1] if name in MENU else name)
    return str(entry.label) if entry is not None else name


class RoleView(OwnersOnly):
    """Roles and what they may do. The owner's and the public role belong to the product."""

    route_base = "/roles"
    datamodel = KitInterface(Role)
    list_title = _l("Roles")
    item_title = _l("Role")
    label_columns = {"name": _l("Name"), "permissions": _l("Permissions")}
    formatters_columns = {"name": role_label}
    list_columns = ["name"]
    show_columns = ["name"]
    add_columns = ["name", "permissions"]
    edit_columns = ["name", "permissions"]
    search_columns: list[str] = []
    order_columns = ["name"]
    base_order = ("name", "asc")
    add_form_extra_fields = {
        "permissions": RelationsField(
            _l("Permissions"),
            rows=PermissionRows(PermissionView),
            lookup_view="RoleView",
            plain_limit=MAX_GRANTS,
        )
    }
    edit_form_extra_fields = add_form_extra_fields

    def pre_update(self, item: Role) -> None:
        """Refuse changes to the product's own roles."""
        config = current_app.config
        old_name = self.datamodel.committed_value(item, "name")
        if {old_name, item.name} & {config["AUTH_ROLE_ADMIN"], config["AUTH_ROLE_PUBLIC"]}:
            raise Refusal([_l("This role belongs to the product and cannot be changed.")])

    def pre_add(self, item: Role) -> None:
        """Nothing to check; the unique name is the database's business."""

    def pre_delete(self, item: Role) -> None:
        """Refuse to delete the product's roles and roles that somebody has."""
        self.pre_update(item)
        holders = select(func.count()).where(assoc_user_role.c.role_id == item.id)
        if self.datamodel.session.scalar(holders):
            raise Refusal([_l("Staff members still have this role.")])


class ProfileForm(KitForm):
    """A new password, proved by the old one."""

    old_password = SecretField(_l("Present password"), validators=[required(), Length(max=MAX_PASSWORD)])
    new_password = SecretField(
        _l("New password"), validators=[required(), Length(max=MAX_PASSWORD), check_strength]
    )
    password_again = SecretField(
        _l("New password again"),
        validators=[required(), EqualTo("new_password", message=_l("The two passwords differ."))],
    )


class ProfileView(BaseView):
    """The own account of whoever is logged in."""

    route_base = "/profile"
    default_view = "userinfo"

    @expose("/", methods=["GET", "POST"])
    def userinfo(self) -> Any:
        """Show the form of the own password, or change it; other sessions end with the old password."""
        if not current_user.is_authenticated:
            return redirect(self.appbuilder.get_url_for_login_with(request.path))
        form = ProfileForm()
        if request.method == "GET":
            return self._page(form, 200)
        if form.validate() and self._is_old_password(form):
            self._change(str(form.new_password.data))
            flash(_("The password is changed."), "success")
            return redirect(request.path)
        return self._page(form, 422)

    def _is_old_password(self, form: ProfileForm) -> bool:
        if check_password_hash(current_user.password or "", str(form.old_password.data)):
            return True
        form.old_password.errors = [_("This is not the present password.")]
        return False

    def _change(self, password: str) -> None:
        from app.domain.clock import utc_now
        from app.services.audit import record_change
        from app.views.kit.current import current_actor

        database = self.appbuilder.session
        user = database.get(Staff, current_user.id)
        user.password = hash_password(password)
        record_change(
            actor=current_actor(),
            action="change_password",
            entity=Staff.__tablename__,
            entity_id=str(user.id),
            now=utc_now(),
        )
        database.commit()
        session[PASSWORD_MARK] = password_mark(user)

    def _page(self, form: ProfileForm, status: int) -> tuple[str, int]:
        names = ["old_password", "new_password", "password_again"]
        widgets = {"edit": FormWidget(form=form, include_cols=names, exclude_cols=[], fieldsets=[])}
        title = _("My password")
        template = "appbuilder/general/model/edit.html"
        return self.render_template(template, title=title, widgets=widgets, related_views=[]), status


__all__ = ["OwnersOnly", "ProfileView", "RoleView", "StaffView"]
