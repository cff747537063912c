"""Asking for money back over the interface: contract, ownership, repetition."""

from __future__ import annotations

from tests.api.conftest import LogIn
from tests.api.contract import ContractClient
from tests.api.test_changes import paid

ASKED = {"reason": "空调坏了"}


def test_preview_request_and_withdrawal(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    no = paid(api, headers)
    address = f"/api/v1/orders/{no}"
    preview = api.post(f"{address}/refund-preview", json={}, headers=headers)
    assert (preview.status_code, preview.json["refund_fen"], preview.json["fee_fen"]) == (200, 12000, 0)

    asked = api.post(f"{address}/refund-requests", json=ASKED, headers=headers)
    assert (asked.status_code, asked.json["status"], asked.json["policy_fen"]) == (201, "requested", 12000)
    again = api.post(f"{address}/refund-requests", json=ASKED, headers=headers)
    assert (again.status_code, again.json["code"]) == (422, "refund_not_allowed")
    listed = api.get(f"{address}/refund-requests", headers=headers).json
    assert [item["id"] for item in listed["items"]] == [asked.json["id"]]
    withdrawn = api.post(f"{address}/refund-requests/{asked.json['id']}/withdraw", json={}, headers=headers)
    assert (withdrawn.status_code, withdrawn.json["status"]) == (200, "withdrawn")
    twice = api.post(f"{address}/refund-requests/{asked.json['id']}/withdraw", json={}, headers=headers)
    assert (twice.status_code, twice.json["code"]) == (409, "invalid_transition")


def test_repetition_gives_the_first_answer(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    no = paid(api, headers)
    keyed = headers | {"Idempotency-Key": "refund-1"}
    first = api.post(f"/api/v1/orders/{no}/refund-requests", json=ASKED, headers=keyed)
    second = api.post(f"/api/v1/orders/{no}/refund-requests", json=ASKED, headers=keyed)
    assert (first.status_code, first.data) == (second.status_code, second.data)


def test_ownership_comes_before_the_body(api: ContractClient, log_in: LogIn) -> None:
    no = paid(api, log_in())
    stranger = log_in()
    answer = api.post(f"/api/v1/orders/{no}/refund-requests", json={"reason": 5}, headers=stranger)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
