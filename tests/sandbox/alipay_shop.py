"""Ordinary trades and refunds of Alipay through the real library, so that tests only say what is special."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from alipay import AliPay

from sandbox.clock import CHINA
from sandbox.clock import utc_now as now
from tests.sandbox.live import Live, Merchant, Received

NUMBER = "P20260101"
BUYER = "2088102169481075"


class Client(AliPay):  # type: ignore[misc]
    """The library as it is, pointed at the sandbox, on China's clock wherever the tests run."""

    def __init__(self, live: Live, **changes: str) -> None:
        keys = live.credentials["alipay"] | changes
        super().__init__(
            appid=keys["app_id"],
            app_private_key_string=keys["app_private_key"],
            alipay_public_key_string=keys["alipay_public_key"],
        )
        self._gateway = f"{live.url}/gateway.do"

    def build_body(self, method: str, biz_content: Any = None, **kwargs: Any) -> Any:
        return super().build_body(
            method, biz_content, **{"timestamp": f"{now().astimezone(CHINA):%Y-%m-%d %H:%M:%S}"} | kwargs
        )


class AlipayShop:
    """One merchant with its client; notices arrive at the merchant, who takes them."""

    def __init__(self, live: Live, merchant: Merchant) -> None:
        self.live = live
        self.client = Client(live)
        self.merchant = merchant
        merchant.word = b"success"

    def trade(self, number: str = NUMBER, amount: Any = "128.00", **changes: Any) -> Any:
        """Make a trade for a buyer and return what it is answered with."""
        terms: dict[str, Any] = {
            "subject": "雀坊 包间 4 小时",
            "buyer_id": BUYER,
            "product_code": "JSAPI_PAY",
            "op_app_id": self.live.credentials["alipay"]["app_id"],
            "notify_url": self.merchant.url,
        } | changes
        terms = {name: value for name, value in terms.items() if value is not None}
        notify_url = terms.pop("notify_url", None)
        content = {"out_trade_no": number, "total_amount": amount, **terms}
        content = {name: value for name, value in content.items() if value is not None}
        return self.client.server_api("alipay.trade.create", content, notify_url=notify_url)

    def code(self, number: str = NUMBER, amount: Any = "128.00", **changes: Any) -> Any:
        """Make a code and return what it is answered with."""
        terms = {"product_code": "QR_CODE_OFFLINE", "notify_url": self.merchant.url} | changes
        return self.client.api_alipay_trade_precreate("雀坊 包间", number, amount, **terms)

    def paid(self, number: str = NUMBER, amount: str = "128.00") -> Any:
        """Return what a query says of a trade that was made and paid."""
        assert self.trade(number, amount)["code"] == "10000"
        self.succeed(number)
        return self.query(number)

    def succeed(self, number: str = NUMBER) -> Any:
        return self.live.control(f"/payments/alipay/{number}/succeed")

    def query(self, number: str = NUMBER) -> Any:
        return self.client.api_alipay_trade_query(out_trade_no=number)

    def close(self, number: str = NUMBER) -> Any:
        return self.client.api_alipay_trade_close(out_trade_no=number)

    def refund(self, number: str = "R20260101", amount: Any = "28.00", **changes: Any) -> Any:
        request = {"out_trade_no": NUMBER, "out_request_no": number} | changes
        return self.client.api_alipay_trade_refund(amount, **request)

    def query_refund(self, number: str = "R20260101") -> Any:
        return self.client.api_alipay_trade_fastpay_refund_query(number, out_trade_no=NUMBER)

    def shown(self, kind: str, number: str) -> Any:
        return self.live.shown(kind, number, "alipay")

    def opened(self, callback: Received) -> dict[str, str]:
        """Return the fields of a notice that the library verifies."""
        fields = dict(parse_qsl(callback.body.decode(), keep_blank_values=True, strict_parsing=True))
        signature = fields.pop("sign")
        assert self.client.verify(dict(fields), signature), "the library refused the signature"
        return fields

    def stamp(self, **ahead: float) -> str:
        """Return a time of China's clock."""
        return f"{(now() + timedelta(**ahead)).astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
