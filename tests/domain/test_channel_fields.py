"""Credentials as people paste them: every usual form is read, every usual mistake is told by its field."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.domain import merchant_keys as keys
from app.domain.channel_fields import read_fields
from app.domain.errors import InvalidField
from tests.services.merchant import (
    KEY,
    MIDDLE,
    NOW,
    OTHER_KEY,
    PASSWORD,
    SERIAL,
    SERVICE_KEY,
    alipay,
    certificate_of,
    new_key,
    pfx,
    unionpay,
    wechat,
)

FORMS = {"wechat_pay": wechat, "alipay": alipay, "unionpay": unionpay}
PKCS1 = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
BARE = "".join(keys.private_pem(KEY).splitlines()[1:-1])
WEAK = keys.private_pem(new_key(1024))
ELLIPTIC = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
OWN_PUBLIC = keys.public_pem(KEY.public_key())


@pytest.mark.parametrize("channel", FORMS)
def test_whole_credentials_are_read(channel: str) -> None:
    found = read_fields(channel, FORMS[channel](), {}, now=NOW)
    assert set(found) == set(FORMS[channel]())
    # Reading what was stored changes nothing more.
    assert read_fields(channel, found, {}, now=NOW) == found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PKCS1, id="PKCS1"),
        pytest.param(keys.private_pem(KEY).replace("\n", "\r\n"), id="line ends of Windows"),
        pytest.param(BARE, id="bare base64"),
        pytest.param(f"\n  {keys.private_pem(KEY)}  ", id="space around"),
    ],
)
def test_private_keys_end_in_one_form(text: str) -> None:
    found = read_fields("alipay", alipay(app_private_key=text), {}, now=NOW)
    assert found["app_private_key"] == keys.private_pem(KEY)


def test_serial_number_comes_from_the_certificate() -> None:
    assert read_fields("wechat_pay", wechat(), {}, now=NOW)["merchant_serial_no"] == f"{SERIAL:040X}"
    # Its leading zero may have got lost, and letters may be small.
    typed = wechat(merchant_serial_no=f"{SERIAL:x}")
    assert int(read_fields("wechat_pay", typed, {}, now=NOW)["merchant_serial_no"], 16) == SERIAL


def test_secrets_left_empty_stay() -> None:
    kept = read_fields("wechat_pay", wechat(), {}, now=NOW)
    typed = wechat(merchant_private_key="", api_v3_key="", mchid="1900000002")
    found = read_fields("wechat_pay", typed, kept, now=NOW)
    assert found == kept | {"mchid": "1900000002"}


WRONG = [
    pytest.param("wechat_pay", {"mchid": "19000"}, "mchid", id="short merchant number"),
    pytest.param("wechat_pay", {"mchid": "１９００００００１"}, "mchid", id="wide digits"),
    pytest.param("wechat_pay", {"app_id": "wx1"}, "app_id", id="app id"),
    pytest.param("wechat_pay", {"api_v3_key": "k" * 31}, "api_v3_key", id="short key"),
    pytest.param("wechat_pay", {"api_v3_key": ""}, "api_v3_key", id="no key"),
    pytest.param("wechat_pay", {"merchant_private_key": "hello"}, "merchant_private_key", id="no PEM"),
    pytest.param("wechat_pay", {"merchant_private_key": OWN_PUBLIC}, "merchant_private_key", id="public"),
    pytest.param("wechat_pay", {"merchant_private_key": WEAK}, "merchant_private_key", id="1024 bits"),
    pytest.param("wechat_pay", {"merchant_private_key": ELLIPTIC}, "merchant_private_key", id="no RSA"),
    pytest.param("wechat_pay", {"merchant_private_key": "x" * 17000}, "merchant_private_key", id="giant"),
    pytest.param("wechat_pay", {"merchant_private_key": "-----BEGIN\0"}, "merchant_private_key", id="NUL"),
    pytest.param(
        "wechat_pay",
        {"merchant_private_key": keys.private_pem(OTHER_KEY)},
        "merchant_private_key",
        id="key of another certificate",
    ),
    pytest.param("wechat_pay", {"merchant_serial_no": "5A"}, "merchant_serial_no", id="short serial"),
    pytest.param(
        "wechat_pay", {"merchant_serial_no": "F" * 40}, "merchant_serial_no", id="serial of another"
    ),
    pytest.param("wechat_pay", {"merchant_certificate": ""}, "merchant_serial_no", id="neither of both"),
    pytest.param(
        "wechat_pay",
        {"merchant_certificate": keys.certificate_pem(certificate_of(KEY, days=-1))},
        "merchant_certificate",
        id="expired",
    ),
    pytest.param("wechat_pay", {"merchant_certificate": OWN_PUBLIC}, "merchant_certificate", id="a key"),
    pytest.param("wechat_pay", {"public_key_id": "1"}, "public_key_id", id="key id"),
    pytest.param("wechat_pay", {"public_key": OWN_PUBLIC}, "public_key", id="own public key"),
    pytest.param("alipay", {"app_id": "2021"}, "app_id", id="alipay app id"),
    pytest.param("alipay", {"seller_id": "2021000000000001"}, "seller_id", id="seller id"),
    pytest.param("alipay", {"alipay_public_key": OWN_PUBLIC}, "alipay_public_key", id="own key of alipay"),
    pytest.param("alipay", {"alipay_public_key": "%%%"}, "alipay_public_key", id="no base64"),
    pytest.param("unionpay", {"merchant_no": "777"}, "merchant_no", id="unionpay merchant"),
    pytest.param("unionpay", {"pfx_password": PASSWORD + "x"}, "signing_pfx", id="wrong password"),
    pytest.param("unionpay", {"signing_pfx": "AAAA"}, "signing_pfx", id="no pfx"),
    pytest.param("unionpay", {"signing_pfx": pfx(days=-1)}, "signing_pfx", id="expired pfx"),
    pytest.param(
        "unionpay",
        {"root_certificate": keys.certificate_pem(certificate_of(OTHER_KEY, name="root"))},
        "middle_certificate",
        id="root of somebody else",
    ),
    pytest.param(
        "unionpay",
        {"root_certificate": keys.certificate_pem(MIDDLE)},
        "root_certificate",
        id="no root",
    ),
    pytest.param("unionpay", {"signer_name": " "}, "signer_name", id="no signer"),
]


@pytest.mark.parametrize(("channel", "changes", "field"), WRONG)
def test_mistakes_are_told_by_their_field(channel: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        read_fields(channel, FORMS[channel](**changes), {}, now=NOW)
    assert set(caught.value.errors or {}) == {field}
    # Nothing of what was typed comes back in the words.
    told = repr(caught.value.errors)
    assert all(str(text)[:40] not in told for text in changes.values() if len(str(text)) > 8)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidField) as caught:
        read_fields("alipay", {}, {}, now=NOW)
    assert set(caught.value.errors or {}) == set(alipay())


def test_fingerprint_is_that_of_the_pair() -> None:
    certificate = certificate_of(KEY)
    assert keys.fingerprint(KEY) == keys.fingerprint(KEY.public_key()) == keys.fingerprint(certificate)
    assert keys.fingerprint(KEY) != keys.fingerprint(SERVICE_KEY)
