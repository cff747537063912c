"""Every screen answers for every role: shown with rows, or refused, never broken."""

from __future__ import annotations

import pytest
from flask import Flask

from app.services.roles import ROLES
from tests import factories as make
from tests.views.helpers import client_of


def read_screens(app: Flask) -> list[str]:
    """Return the names of the screens that show rows."""
    return sorted(type(view).__name__ for view in app.appbuilder.baseviews if hasattr(view, "datamodel"))


@pytest.mark.parametrize("role", ["Owner", *ROLES])
def test_each_list_is_shown_or_forbidden(app: Flask, role: str) -> None:
    room = make.make_room()
    make.make_campaign(room.store)
    client = client_of(app, make.make_staff(role, room.store))
    granted = ROLES.get(role)
    for view in app.appbuilder.baseviews:
        if not hasattr(view, "datamodel"):
            continue
        name = type(view).__name__
        answer = client.get(f"{view.route_base}/list/")
        may_read = granted is None or "can_read" in granted.get(name, ())
        assert answer.status_code == (200 if may_read else 403), (role, name)


def test_each_form_of_the_owner_is_shown(app: Flask) -> None:
    room = make.make_room()
    client = client_of(app, make.make_staff("Owner"))
    for view in app.appbuilder.baseviews:
        if hasattr(view, "datamodel") and "add" not in view.exclude_route_methods:
            answer = client.get(f"{view.route_base}/add")
            assert answer.status_code == 200, type(view).__name__
    assert client.get(f"/rooms/edit/{room.id}").status_code == 200
    assert client.get(f"/stores/show/{room.store_id}").status_code == 200
