"""Those who write callbacks that the product must refuse: altered, forged, old, or about something else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.domain.clock import utc_now
from sandbox.alipay_rules import moment
from sandbox.alipay_signing import AlipaySigner
from sandbox.keys import private_pem
from sandbox.signing import PlatformSigner
from sandbox.unionpay_keys import SIGNER, issue, pem_of
from sandbox.unionpay_messages import Messages
from tests.sandbox.live import Live, Received
from tests.services.merchant import new_key

FORM = "application/x-www-form-urlencoded"
Headers = list[tuple[str, str]]
Letter = tuple[Headers, bytes]


class Forger(Protocol):
    """Writes what a service might send; `signed` with its own keys, `forged` with a stranger's."""

    names: dict[str, str]

    def genuine(self) -> Letter: ...
    def signed(self, **changes: Any) -> Letter: ...
    def forged(self) -> Letter: ...
    def strange_key(self) -> Letter: ...
    def old(self) -> Letter: ...


@dataclass
class WeChatForger:
    """Holds the keys of the sandbox's platform and of the merchant."""

    live: Live
    notice: Received
    names = {"fen": "amount", "merchant": "mchid", "app": "appid", "payment": "out_trade_no"}

    def genuine(self) -> Letter:
        return [(name, value) for name, value in self.notice.headers.items() if name != "Host"], (
            self.notice.body
        )

    def signed(self, **changes: Any) -> Letter:
        return self._letter(self._body(changes))

    def forged(self) -> Letter:
        ring = self.live.sandbox.context.ring
        stranger = replace(ring, platform_private_key=private_pem(new_key()))
        return self._letter(self.notice.body, PlatformSigner(stranger, utc_now))

    def strange_key(self) -> Letter:
        headers, body = self.genuine()
        return [("Wechatpay-Serial", "5157F09EFDC096DE15EBE81A47057A72"), *without(headers, "serial")], body

    def old(self) -> Letter:
        past: Callable[[], datetime] = lambda: utc_now() - timedelta(seconds=301)  # noqa: E731
        return self._letter(self.notice.body, PlatformSigner(self.live.sandbox.context.ring, past))

    def _body(self, changes: dict[str, Any]) -> bytes:
        ring = self.live.sandbox.context.ring
        told = json.loads(self.notice.body)
        sealed = told["resource"]
        box = AESGCM(ring.api_v3_key.encode())
        content = json.loads(
            box.decrypt(
                sealed["nonce"].encode(),
                base64.b64decode(sealed["ciphertext"]),
                sealed["associated_data"].encode(),
            )
        )
        if "amount" in changes:
            fen = int(changes.pop("amount"))
            content["amount"] |= {"total": fen, "payer_total": fen}
        if "currency" in changes:
            content["amount"] |= {"currency": changes.pop("currency")}
        resealed = PlatformSigner(ring, utc_now).encrypt(
            json.dumps(content | changes).encode(), "transaction"
        )
        return json.dumps(told | {"resource": resealed | {"original_type": "transaction"}}).encode()

    def _letter(self, body: bytes, signer: PlatformSigner | None = None) -> Letter:
        ring = self.live.sandbox.context.ring
        headers = (signer or PlatformSigner(ring, utc_now)).headers(body, ring.public_key_id)
        return [("Content-Type", "application/json"), *headers.items()], body


@dataclass
class AlipayForger:
    """Holds Alipay's key of the sandbox."""

    live: Live
    notice: Received
    names = {"fen": "total_amount", "merchant": "seller_id", "app": "app_id", "payment": "out_trade_no"}

    def genuine(self) -> Letter:
        return [("Content-Type", FORM)], self.notice.body

    def signed(self, **changes: Any) -> Letter:
        return self._letter(changes, self._keys())

    def forged(self) -> Letter:
        return self._letter({}, self._keys() | {"alipay_private_key": private_pem(new_key())})

    strange_key = forged

    def old(self) -> Letter:
        sent_at = utc_now() - timedelta(seconds=301)
        return self._letter({"notify_time": moment(sent_at.timestamp())}, self._keys())

    def _keys(self) -> dict[str, str]:
        return dict(self.live.sandbox.context.ring.services["alipay"])

    def _letter(self, changes: dict[str, str], keys: dict[str, str]) -> Letter:
        told = dict(parse_qsl(self.notice.body.decode(), keep_blank_values=True))
        fields = {name: value for name, value in told.items() if name not in ("sign", "sign_type")}
        return [("Content-Type", FORM)], AlipaySigner(keys).notice(fields | changes)


@dataclass
class UnionPayForger:
    """Holds the keys and certificates of the sandbox's gateway."""

    live: Live
    notice: Received
    names = {"fen": "txnAmt", "merchant": "merId", "payment": "orderId"}

    def genuine(self) -> Letter:
        return [("Content-Type", FORM)], self.notice.body

    def signed(self, **changes: Any) -> Letter:
        return self._letter(changes, {})

    def forged(self) -> Letter:
        return self._letter({}, {"signing_key": private_pem(new_key())})

    def strange_key(self) -> Letter:
        """A certificate in the right name that no trusted root has signed."""
        made = issue(f"041@1@{SIGNER}@1", None, utc_now())
        keys = {"signing_key": private_pem(made.key), "signing_certificate": pem_of(made.certificate)}
        return self._letter({}, keys)

    def old(self) -> Letter:
        raise NotImplementedError

    def _letter(self, changes: dict[str, str], keys: dict[str, str]) -> Letter:
        told = dict(parse_qsl(self.notice.body.decode()))
        fields = {name: value for name, value in told.items() if name not in ("signature", "signPubKeyCert")}
        ring = self.live.sandbox.context.ring.services["unionpay"]
        return [("Content-Type", FORM)], urlencode(Messages(ring | keys).sign(fields | changes)).encode()


def without(headers: Headers, part: str) -> Headers:
    """Return the headers whose name does not hold *part*."""
    return [(name, value) for name, value in headers if part not in name.lower()]
