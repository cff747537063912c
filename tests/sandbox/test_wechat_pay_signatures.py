"""Requests whose Authorization header is wrong in one way are refused, and answers are signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tests.sandbox.live import OPENID, Live

PATH = "/v3/pay/transactions/jsapi"


class Signer:
    """Builds requests by hand, so that every part can be changed before or after signing."""

    def __init__(self, live: Live) -> None:
        self.live = live
        keys = live.credentials["wechat_pay"]
        self.key: Any = serialization.load_pem_private_key(keys["merchant_private_key"].encode(), None)
        self.body = json.dumps(
            {
                "appid": keys["app_id"],
                "mchid": keys["mchid"],
                "description": "x",
                "out_trade_no": "P20260101",
                "notify_url": "http://127.0.0.1/notify",
                "amount": {"total": 1},
                "payer": {"openid": OPENID},
            }
        )
        self.fields = {
            "mchid": keys["mchid"],
            "nonce_str": "0123456789abcdef",
            "timestamp": str(int(live.clock().timestamp())),
            "serial_no": keys["merchant_serial_no"],
        }

    def sign(self, path: str = PATH, method: str = "POST") -> None:
        text = f"{method}\n{path}\n{self.fields['timestamp']}\n{self.fields['nonce_str']}\n{self.body}\n"
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        self.fields["signature"] = base64.b64encode(signature).decode()

    def send(self, scheme: str = "WECHATPAY2-SHA256-RSA2048", **headers: str) -> requests.Response:
        fields = ",".join(f'{name}="{value}"' for name, value in self.fields.items())
        return requests.post(
            self.live.url + PATH,
            data=self.body.encode(),
            headers={"Authorization": f"{scheme} {fields}"} | headers,
            timeout=10,
        )


def _move_clock(signer: Signer, seconds: int) -> None:
    signer.fields["timestamp"] = str(int(signer.fields["timestamp"]) + seconds)
    signer.sign()


def _set(name: str, value: str) -> Callable[[Signer], None]:
    def change(signer: Signer) -> None:
        signer.fields[name] = value
        signer.sign()

    return change


def _change_body(signer: Signer) -> None:
    signer.body = signer.body.replace('"total": 1', '"total": 2')


def _reformat_body(signer: Signer) -> None:
    signer.body = signer.body.replace(": ", ":")


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("body changed", _change_body),
        ("body only reformatted", _reformat_body),
        ("other path signed", lambda signer: signer.sign("/v3/pay/transactions/native")),
        ("query signed but not sent", lambda signer: signer.sign(PATH + "?a=1")),
        ("other method signed", lambda signer: signer.sign(method="GET")),
        ("too old", lambda signer: _move_clock(signer, -310)),
        ("from the future", lambda signer: _move_clock(signer, 310)),
        ("other merchant", _set("mchid", "1900000000")),
        ("other serial", _set("serial_no", "AB12")),
        ("serial no number", _set("serial_no", "XYZ")),
        ("no nonce", _set("nonce_str", "")),
        ("timestamp no number", _set("timestamp", "now")),
        ("timestamp enormous", _set("timestamp", "9" * 400)),
        ("signature no base64", lambda signer: signer.fields.update(signature="***")),
        ("signature empty", lambda signer: signer.fields.update(signature="")),
        ("signature missing", lambda signer: signer.fields.pop("signature")),
    ],
)
def test_request_is_refused_with(live: Live, label: str, change: Callable[[Signer], None]) -> None:
    signer = Signer(live)
    signer.sign()
    change(signer)

    response = signer.send()

    assert (response.status_code, response.json()["code"]) == (401, "SIGN_ERROR")
    assert live.sandbox.store.count("payment") == 0


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("nearly five minutes old", lambda signer: _move_clock(signer, -290)),
        (
            "serial in small letters",
            lambda signer: signer.fields.update(serial_no=signer.fields["serial_no"].lower()),
        ),
        (
            "serial with zeros in front",
            lambda signer: signer.fields.update(serial_no="00" + signer.fields["serial_no"]),
        ),
        ("fields in another order", lambda signer: signer.fields.update(mchid=signer.fields.pop("mchid"))),
    ],
)
def test_request_is_accepted_with(live: Live, label: str, change: Callable[[Signer], Any]) -> None:
    signer = Signer(live)
    signer.sign()
    change(signer)

    assert signer.send().status_code == 200


def test_unknown_scheme_and_unknown_platform_key_are_refused(live: Live) -> None:
    signer = Signer(live)
    signer.sign()

    assert signer.send(scheme="WECHATPAY2-SM2-WITH-SM3").status_code == 401
    assert requests.get(live.url + "/v3/certificates", timeout=10).json()["code"] == "SIGN_ERROR"
    wrong_key = signer.send(**{"Wechatpay-Serial": "PUB_KEY_ID_0000"})
    assert (wrong_key.status_code, wrong_key.json()["code"]) == (400, "PARAM_ERROR")


@pytest.mark.parametrize(
    ("label", "body"),
    [
        ("empty", ""),
        ("no JSON", "{"),
        ("a list", "[]"),
        ("not a number", '{"amount": {"total": NaN}}'),
        ("nested too deep", "[" * 100_000),
    ],
)
def test_signed_body_is_refused_when(live: Live, label: str, body: str) -> None:
    signer = Signer(live)
    signer.body = body
    signer.sign()

    response = signer.send()

    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")


def test_oversized_body_is_refused(live: Live) -> None:
    signer = Signer(live)
    signer.body = json.dumps({"attach": "a" * 1_100_000})
    signer.sign()

    assert signer.send().status_code == 413


def test_unknown_path_is_refused_in_the_service_s_own_form(live: Live) -> None:
    response = live.get("/v3/pay/unknown")

    assert (response.status_code, response.json()["code"]) == (401, "SIGN_ERROR")


def test_success_is_signed_and_refusal_is_not(live: Live) -> None:
    signer = Signer(live)
    signer.sign()
    success = signer.send()
    signer.fields["nonce_str"] = "changed"
    refusal = signer.send()

    names = {"Timestamp", "Nonce", "Signature", "Serial", "Signature-Type"}
    assert {name for name in names if f"Wechatpay-{name}" in success.headers} == names
    assert success.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Wechatpay-Signature" not in refusal.headers
