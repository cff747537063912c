"""Hot reads are answered before the framework, word for word as it would, and only where all is plain."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, request
from werkzeug.test import Client, TestResponse

from app.api import hot_reads, limits
from app.domain.actor import NO_STORES
from app.extensions import current_scope, db, use_scope
from tests import factories
from tests.api.conftest import Clock
from tests.api.contract import ContractClient

WINDOW = "from=2026-03-04T12:00:00%2B08:00&to=2026-03-05T12:00:00%2B08:00"


@pytest.fixture
def dispatched(api: ContractClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reads that the framework got to see."""
    seen: list[str] = []
    dispatch = type(api.application).full_dispatch_request

    def note(self: Flask) -> Any:
        if "availability" in request.path:
            seen.append(request.full_path)
        return dispatch(self)

    monkeypatch.setattr(type(api.application), "full_dispatch_request", note)
    return seen


def told(answer: TestResponse) -> tuple[Any, ...]:
    """All that a client can tell apart; gunicorn itself sends the date."""
    headers = {name: value for name, value in answer.headers.items() if name != "Date"}
    return answer.status_code, headers, answer.data


def test_answers_are_those_of_the_ordinary_way(
    api: ContractClient, dispatched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = factories.make_room()
    paths = [
        f"/api/v1/stores/{room.store_id}/availability?{WINDOW}",
        f"/api/v1/rooms/{room.id}/availability?{WINDOW}",
    ]
    hot = [told(api.get(path)) for path in paths]
    tags = [{"If-None-Match": headers["ETag"]} for _, headers, _ in hot]
    hot += [told(api.get(path, headers=tag)) for path, tag in zip(paths, tags, strict=True)]
    assert [answer[0] for answer in hot] == [200, 200, 304, 304]
    assert dispatched == []

    with monkeypatch.context() as patch:
        patch.setattr(hot_reads, "_read", lambda app, environ: None)
        cold = [told(api.get(path)) for path in paths]
        cold += [told(api.get(path, headers=tag)) for path, tag in zip(paths, tags, strict=True)]
    assert cold == hot
    assert len(dispatched) == 4


ODD = [
    ("a login", {"headers": {"Authorization": "Bearer x"}}, 200),
    ("any version", {"headers": {"If-None-Match": "*"}}, 304),
    ("a precondition", {"headers": {"If-Match": '"x"'}}, 412),
    ("another method", {"method": "POST"}, 405),
    ("only the head", {"method": "HEAD"}, 200),
    ("a body", {"data": b"x"}, 200),
    ("no window", {"query_string": ""}, 422),
    ("half a window", {"query_string": "from=2026-03-04T12:00:00Z"}, 422),
    ("a window too much", {"query_string": WINDOW + "&to=2026-03-05T12:00:00Z"}, None),
    ("an unknown field", {"query_string": WINDOW + "&x=1"}, 422),
    ("a field instead of another", {"query_string": WINDOW.replace("to=", "until=")}, 422),
    ("backwards", {"query_string": "from=2026-03-05T12:00:00Z&to=2026-03-04T12:00:00Z"}, 422),
    ("nothing there", {"path": f"/api/v1/stores/4711/availability?{WINDOW}"}, 404),
    ("a number no row has", {"path": f"/api/v1/stores/9999999999/availability?{WINDOW}"}, 404),
    ("another address", {"path": f"/api/v1/stores/1/availability/?{WINDOW}"}, 404),
]


@pytest.mark.parametrize(("label", "request_", "status"), ODD, ids=[row[0] for row in ODD])
def test_everything_else_goes_the_ordinary_way(
    api: ContractClient, dispatched: list[str], label: str, request_: dict[str, Any], status: int | None
) -> None:
    room = factories.make_room()
    values = {"path": f"/api/v1/stores/{room.store_id}/availability"} | request_
    if "query_string" not in values and "?" not in values["path"]:
        values["query_string"] = WINDOW
    # Some of these are of HTTP itself and no part of the contract.
    answer = Client(api.application).open(**values)
    assert status in (None, answer.status_code)
    assert len(dispatched) == 1


def test_the_limit_counts_hot_reads_with_everything_else(
    api: ContractClient, dispatched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = factories.make_room()
    path = f"/api/v1/stores/{room.store_id}/availability?{WINDOW}"
    monkeypatch.setitem(api.application.config, "RATELIMIT_ENABLED", True)
    monkeypatch.setitem(api.application.config, "API_RATE_LIMIT", "3 per minute")
    monkeypatch.setattr(limits, "counter", limits.Counter())
    away = {"REMOTE_ADDR": "10.9.8.7"}
    assert api.get("/api/v1/stores", environ_base=away).status_code == 200
    assert [api.get(path, environ_base=away).status_code for _ in range(3)] == [200, 200, 429]
    other = api.get(path, environ_base={"REMOTE_ADDR": "10.9.8.6"})
    assert other.status_code == 200


def test_strange_hosts_are_refused(
    api: ContractClient, dispatched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = factories.make_room()
    path = f"/api/v1/stores/{room.store_id}/availability?{WINDOW}"
    monkeypatch.setitem(api.application.config, "TRUSTED_HOSTS", ["shop.example"])
    client = Client(api.application)
    assert client.get(path, headers={"Host": "shop.example"}).status_code == 200
    assert client.get(path, headers={"Host": "other.example"}).status_code == 400


def test_what_fails_is_answered_by_the_ordinary_way(
    api: ContractClient, dispatched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = factories.make_room()

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the first look fails")

    monkeypatch.setitem(hot_reads._READS, "stores", fail)
    assert api.get(f"/api/v1/stores/{room.store_id}/availability?{WINDOW}").status_code == 200
    assert len(dispatched) == 1


def test_hot_reads_see_every_store_and_leave_no_scope_behind(api: ContractClient, clock: Clock) -> None:
    room = factories.make_room()
    path = f"/api/v1/stores/{room.store_id}/availability?{WINDOW}"
    db.session.remove()
    with use_scope(NO_STORES):
        assert api.get(path).status_code == 200
        assert current_scope() == NO_STORES
