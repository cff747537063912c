"""Binds the kit to an application: FAB's own APIs off, a back button without history in the cookie."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, redirect, request, session, url_for
from flask_appbuilder.api import BaseApi
from flask_babel import get_translations
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from app.views.kit.arguments import local_path
from app.views.kit.checks import KitError, check_kit

_FORM_METHODS = frozenset({"show", "edit", "add"})

FAB_API_SETTINGS = {
    "FAB_ADD_SECURITY_API": False,
    "FAB_API_SWAGGER_UI": False,
    "FAB_ADD_OPENAPI_VIEWS": False,
    "FAB_ADD_MENU_API": False,
    "FAB_API_KEY_ENABLED": False,
    "FAB_ROLES": {},
    "FAB_ALLOW_GET_UNSAFE_MUTATIONS": False,
}


def disable_fab_rest(app: Flask) -> None:
    """Switch off FAB's REST endpoints; call before `appbuilder.init_app`.

    ``/api/v1`` belongs to the customers' API. FAB's token log-in there has no limit on tries, so it is not
    registered either: see `QuefangSecurityManager.register_views`.
    """
    app.config.update(FAB_API_SETTINGS)


def install_kit(app: Flask, appbuilder: Any) -> None:
    """Check every registered view and replace FAB's history button; call after the last view."""
    check_kit(appbuilder)
    for view in appbuilder.baseviews:
        if isinstance(view, BaseApi):
            raise KitError(f"{type(view).__name__}: FAB's REST API must not be reachable")
    if "UtilView.back" in app.view_functions:
        app.view_functions["UtilView.back"] = go_back
    app.before_request(_forget_unknown_language)
    app.before_request(_use_own_words_in_forms)


def go_back() -> Response:
    """Redirect to `?next=`, else from a form or detail page to its list, else to the start page."""
    start: str = current_app.appbuilder.get_url_for_index  # type: ignore[attr-defined]
    return redirect(local_path(request.args.get("next")) or _list_of(request.referrer) or start)


def _list_of(referrer: str | None) -> str | None:
    """Return the list that a page of this site belongs to."""
    if not referrer or not referrer.startswith(request.host_url):
        return None
    path = "/" + referrer.removeprefix(request.host_url).split("?")[0].split("#")[0]
    adapter = current_app.create_url_adapter(request)
    try:
        endpoint = str(adapter.match(path, method="GET")[0]) if adapter else ""
    except HTTPException:
        return None
    view, _, method = endpoint.rpartition(".")
    is_listed = method in _FORM_METHODS and f"{view}.list" in current_app.view_functions
    return url_for(f"{view}.list") if is_listed else None


def _forget_unknown_language() -> None:
    """A language that is not offered any more must not break each page of its user."""
    if request.path.startswith("/api/") or not session:
        return
    if session.get("locale") and session["locale"] not in current_app.config["LANGUAGES"]:
        session.pop("locale")


def _use_own_words_in_forms() -> None:
    """Let WTForms speak from the product's catalogues; its own have gaps and no Traditional Chinese."""
    if request.method == "POST" and not request.path.startswith("/api/"):
        request.wtforms_translations = get_translations()  # type: ignore[attr-defined]
