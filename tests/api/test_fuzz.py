"""Arbitrary input to every operation: an answer that is documented, and never a failure of ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.api.conftest import LogIn, Platform, Till
from tests.api.contract import ContractClient, document_of
from tests.api.test_documents import CUSTOMER, OPTIONAL, PUBLIC

TEXTS = st.text(st.characters(), max_size=80) | st.sampled_from(
    ["", "1", "\0", "2026-03-04T18:00:00+08:00", "９"]
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, 2**31, 2**63])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
GOOD: dict[str, Any] = {
    "room_id": st.sampled_from(["1", 1, "999999"]),
    "start_at": st.datetimes().map(lambda at: at.isoformat() + "+08:00"),
    "end_at": st.datetimes().map(lambda at: at.isoformat() + "Z"),
    "channel": st.sampled_from(["wechat", "alipay", "wechat_jsapi", "unionpay"]),
    "quantity": st.integers(1, 100),
    "shared_by": st.sampled_from(["1", "2147483647"]),
    "team_id": st.sampled_from([None, "1", "2147483647"]),
    "month": st.sampled_from(["2026-03", "0001-01", "9999-12"]),
    "from": st.datetimes().map(lambda at: at.isoformat() + "Z"),
    "to": st.datetimes().map(lambda at: at.isoformat() + "Z"),
}


def _objects(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose fields are now and then what the schema wants."""
    known = {name: GOOD.get(name, TEXTS) | VALUES for name in names}
    return st.fixed_dictionaries({}, optional=known) | st.dictionaries(TEXTS, VALUES, max_size=3)


def _field_names(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    return list(schema.get("properties", {}))


@pytest.mark.parametrize("name", sorted(PUBLIC | OPTIONAL | CUSTOMER))
def test_no_input_makes_a_failure(
    api: ContractClient, log_in: LogIn, platform: Platform, till: Till, name: str
) -> None:
    room = factories.make_room()
    factories.make_campaign(room.store)
    document = document_of(api.application)
    method, path = name.split(" ")
    operation = document["paths"][f"/api/v1{path}"][method.lower()]
    queries = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
    for argument in (
        "store_id",
        "room_id",
        "campaign_id",
        "team_id",
        "message_id",
        "no",
        "payment_no",
        "code",
    ):
        path = path.replace(f"{{{argument}}}", "1")
    path = path.replace("{channel}", "wechat")

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=_objects(_field_names(operation, document)), query=_objects(queries))
    def ask(body: dict[str, Any], query: dict[str, Any]) -> None:
        shown = {key: str(value).encode("utf-8", "replace").decode() for key, value in query.items()}
        sent = {key.encode("utf-8", "replace").decode(): value for key, value in shown.items()}
        headers = {} if name == "POST /auth/logout" else log_in()
        answer = api.open(
            f"/api/v1{path}",
            method=method,
            query_string=sent if queries else None,
            json=body if method != "GET" else None,
            headers=headers,
        )
        assert answer.status_code < 500 or "/notify" in path

    ask()
