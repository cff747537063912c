"""Login, messages and pictures against the sandbox process, which checks them as the platform does."""

from __future__ import annotations

import pytest

from app.gateways.ports import GatewayRefused, GatewayUnavailable
from app.gateways.wechat import WeChatMiniProgram
from tests.gateways.conftest import Sandbox

OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
TEMPLATE = "order-paid-template"
SHORT_SECONDS = 0.2


@pytest.fixture
def program(sandbox: Sandbox) -> WeChatMiniProgram:
    return sandbox.program()


def test_codes_become_an_identity_and_a_phone_number_once(
    sandbox: Sandbox, program: WeChatMiniProgram
) -> None:
    codes = sandbox.control("/login-codes", {"openid": OPENID, "phone": "13800138000"})

    assert program.exchange_login_code(codes["code"]).openid == OPENID
    assert program.exchange_phone_code(codes["phone_code"]) == "13800138000"

    with pytest.raises(GatewayRefused, match="40163"):
        program.exchange_login_code(codes["code"])
    with pytest.raises(GatewayRefused, match="40029"):
        program.exchange_phone_code(codes["phone_code"])


def test_a_foreign_phone_number_keeps_its_country(sandbox: Sandbox, program: WeChatMiniProgram) -> None:
    codes = sandbox.control("/login-codes", {"openid": OPENID, "phone": "+85291234567"})

    assert program.exchange_phone_code(codes["phone_code"]) == "+85291234567"


def test_a_busy_login_may_be_tried_again(sandbox: Sandbox, program: WeChatMiniProgram) -> None:
    codes = sandbox.control("/login-codes", {"openid": OPENID})
    sandbox.control("/faults", {"target": "wechat_login", "mode": "error", "count": 1})

    with pytest.raises(GatewayRefused) as refused:
        program.exchange_login_code(codes["code"])

    assert (refused.value.code, refused.value.is_retryable) == ("-1", True)
    assert program.exchange_login_code(codes["code"]).openid == OPENID


def test_a_fitted_message_of_every_field_type_is_accepted(
    sandbox: Sandbox, program: WeChatMiniProgram
) -> None:
    fields = {
        "thing1": "雀坊 望京店 · 牡丹包间(可容纳八人的豪华大包)",
        "phrase2": "预约已经确认了",
        "character_string3": "单号 B20260314000001",
        "time4": "2026年3月14日 19:00",
        "date5": "2026年3月14日",
        "amount6": "¥1,280.00",
        "number7": "4",
        "name8": "欧阳修" * 5,
        "letter9": "VIP-A1",
        "phone_number10": "010-88888888",
        "car_number11": "京A123456789",
        "symbol12": "★★★★★★",
    }

    program.send_subscribe_message(OPENID, TEMPLATE, "pages/order/detail?no=1", fields)

    (message,) = sandbox.outbox()["items"]
    assert (message["touser"], message["template_id"]) == (OPENID, TEMPLATE)
    assert message["data"]["thing1"]["value"] == "雀坊 望京店 · 牡丹包间(可容纳八人…"
    assert message["data"]["amount6"]["value"] == "¥1280.00"
    assert set(message["data"]) == set(fields)


def test_a_message_without_consent_is_refused_for_good(sandbox: Sandbox, program: WeChatMiniProgram) -> None:
    sandbox.control("/consents", {"openid": OPENID, "template_id": TEMPLATE, "credits": 1})
    program.send_subscribe_message(OPENID, TEMPLATE, "pages/order", {"thing1": "牡丹"})

    with pytest.raises(GatewayRefused) as refused:
        program.send_subscribe_message(OPENID, TEMPLATE, "pages/order", {"thing1": "牡丹"})

    assert (refused.value.code, refused.value.is_retryable) == ("43101", False)
    assert len(sandbox.outbox()["items"]) == 1


def test_a_message_goes_out_once_after_all_tokens_expired(
    sandbox: Sandbox, program: WeChatMiniProgram
) -> None:
    program.send_subscribe_message(OPENID, TEMPLATE, "pages/order", {"thing1": "one"})
    sandbox.control("/tokens/expire")

    program.send_subscribe_message(OPENID, TEMPLATE, "pages/order", {"thing1": "two"})

    assert [item["data"]["thing1"]["value"] for item in sandbox.outbox()["items"]] == ["one", "two"]


def test_a_message_that_timed_out_may_have_been_sent(sandbox: Sandbox) -> None:
    program = sandbox.program(SHORT_SECONDS)
    sandbox.control("/faults", {"target": "wechat_message", "mode": "timeout_after_commit", "count": 1})

    with pytest.raises(GatewayUnavailable) as failed:
        program.send_subscribe_message(OPENID, TEMPLATE, "pages/order", {"thing1": "牡丹"})

    assert failed.value.outcome_unknown
    assert len(sandbox.outbox()["items"]) == 1


def test_a_picture_of_a_code_is_made(program: WeChatMiniProgram) -> None:
    assert program.make_mini_program_code("c=12&s=3", "pages/team/index").startswith(b"\xff\xd8\xff")
