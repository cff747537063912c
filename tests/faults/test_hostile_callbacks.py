"""Callbacks that are forged, altered, old or about something else: refused in the service's own words."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.domain.states import OrderStatus
from tests.faults.forgers import FORM, AlipayForger, Forger, Letter, UnionPayForger, WeChatForger, without
from tests.faults.moves import WAYS
from tests.faults.world import Way, World
from tests.services.counter import unchanged

FORGERS: dict[str, Callable[..., Forger]] = {
    "wechat jsapi": WeChatForger,
    "alipay create": AlipayForger,
    "unionpay": UnionPayForger,
}
Attack = Callable[[Forger], Letter]


def amount(fen: int) -> Attack:
    def attack(forger: Forger) -> Letter:
        told = f"{fen / 100:.2f}" if forger.names["fen"] == "total_amount" else str(fen)
        return forger.signed(**{forger.names["fen"]: told})

    return attack


def other(what: str, value: str) -> Attack:
    return lambda forger: forger.signed(**{forger.names[what]: value})


def with_body(change: Callable[[bytes], bytes], content_type: str | None = None) -> Attack:
    def attack(forger: Forger) -> Letter:
        headers, body = forger.genuine()
        if content_type is not None:
            headers = [("Content-Type", content_type), *without(headers, "content-type")]
        return headers, change(body)

    return attack


def with_header(name: str, change: Callable[[str], list[str]]) -> Attack:
    def attack(forger: Forger) -> Letter:
        headers, body = forger.genuine()
        value = dict(headers)[name]
        return [*without(headers, name.lower()), *((name, changed) for changed in change(value))], body

    return attack


def in_parts(body: bytes) -> bytes:
    """The body as a file of a form in parts."""
    return b'--x\r\nContent-Disposition: form-data; name="body"\r\n\r\n' + body + b"\r\n--x--\r\n"


SIGNATURE, SERIAL = "Wechatpay-Signature", "Wechatpay-Serial"
COMMON: dict[str, Attack] = {
    "forged signature": lambda forger: forger.forged(),
    "wrong serial or certificate": lambda forger: forger.strange_key(),
    "301 seconds old": lambda forger: forger.old(),
    "other merchant": other("merchant", "777290058110048"),
    "other app": other("app", "2021000000000099"),
    "unknown payment": other("payment", "P260304000000000000"),
    "a fen more": amount(12001),
    "a fen less": amount(11999),
    "giant body": with_body(lambda body: body + b"&" + b"1" * 900_000),
    "bad UTF-8": with_body(lambda body: b"\xff\xfe" + body),
    "empty": with_body(lambda _: b""),
    "form in parts": with_body(in_parts, "multipart/form-data; boundary=x"),
    "deep JSON": with_body(lambda _: b"[" * 20_000, "application/json"),
}
OF_FORMS: dict[str, Attack] = {
    "pluses for spaces": with_body(lambda body: body.replace(b"+", b"%2B")),
    # A signature without a plus is rare; then a stroke is lost instead.
    "spaces for pluses": with_body(lambda body: body.replace(b"%2B" if b"%2B" in body else b"%2F", b"+")),
    "field twice": with_body(lambda body: body + b"&" + body.split(b"&")[0]),
    "signature left out": with_body(lambda body: b"&".join(p for p in body.split(b"&") if b"sign" not in p)),
    "nothing but a word": with_body(lambda _: b"success=1", FORM),
}
ATTACKS: dict[str, dict[str, Attack]] = {
    "wechat jsapi": COMMON
    | {
        "probe": with_header(SIGNATURE, lambda told: [f"WECHATPAY/SIGNTEST/{told}"]),
        "space in the body": with_body(lambda body: body.replace(b": ", b":  ", 1)),
        "spaces for pluses": with_header(SIGNATURE, lambda told: [f"{told[:20]} {told[21:]}"]),
        "header twice": with_header(SERIAL, lambda told: [told, told]),
        "header left out": with_header(SERIAL, lambda _: []),
        "field twice": with_body(lambda body: body.replace(b"{", b'{"id": "x", ', 1)),
        "other currency": lambda forger: forger.signed(currency="USD"),
    },
    "alipay create": COMMON | OF_FORMS,
    "unionpay": COMMON
    | OF_FORMS
    | {
        "other currency": lambda forger: forger.signed(currencyCode="840"),
        "no success": lambda forger: forger.signed(respCode="05"),
        "answer to a query": lambda forger: forger.signed(origRespCode="00"),
    },
}
SENSELESS = {
    (
        "unionpay",
        "301 seconds old",
    ): "its notices do not tell when they were sent; numbers tell them apart",
    ("unionpay", "other app"): "it knows merchants, no apps",
}
CELLS = [
    pytest.param(name, attack, id=f"{name}: {label}")
    for name, attacks in ATTACKS.items()
    for label, attack in attacks.items()
    if (name, label) not in SENSELESS
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The ports that somebody in this process connects to."""
    ports: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> None:
        ports.append(address[1])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    return ports


def check_refusal(name: str, answer: TestResponse) -> None:
    """Each service is told so in the form that it reads."""
    assert answer.status_code == 400
    if name == "alipay create":
        assert answer.data == b"fail"
    else:
        assert json.loads(answer.data)["code"] == "FAIL"


@pytest.mark.parametrize(("name", "attack"), CELLS)
def test_hostile_callback_changes_nothing_and_asks_nobody(
    open_world: Callable[[Way], World], client: FlaskClient, asked: list[Any], name: str, attack: Attack
) -> None:
    world = open_world(WAYS[name])
    no = world.shop.book(3, 2)
    world.succeed(world.start(no))
    (notice,) = world.merchant.wait_for(1)
    headers, body = attack(FORGERS[name](world.live, notice))
    sandbox_port = urlsplit(world.live.url).port
    asked.clear()

    with unchanged():
        answers = [
            client.post(f"/api/v1/{kind}/{world.way.service}/notify", headers=headers, data=body)
            for kind in ("payments", "refunds")
        ]

    for answer in answers:
        check_refusal(name, answer)
    assert sandbox_port not in asked
    world.read_all(expected=1)
    assert world.shop.status(no) is OrderStatus.AWAITING_USE


@pytest.mark.parametrize("name", FORGERS)
def test_control_what_a_forger_signs_unaltered_is_taken(
    open_world: Callable[[Way], World], client: FlaskClient, name: str
) -> None:
    world = open_world(WAYS[name])
    no = world.shop.book(3, 2)
    world.succeed(world.start(no))
    (notice,) = world.merchant.wait_for(1)
    headers, body = FORGERS[name](world.live, notice).signed()
    answer = client.post(f"/api/v1/payments/{world.way.service}/notify", headers=headers, data=body)
    assert answer.status_code in (200, 204)
    assert world.shop.status(no) is OrderStatus.AWAITING_USE
