"""Alipay's gateway as its unchanged library and a plain client meet it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from alipay.exceptions import AliPayException, AliPayValidationError
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from sandbox.keys import new_key, private_pem
from tests.sandbox.alipay_shop import BUYER, NUMBER, AlipayShop, Client
from tests.sandbox.live import Live, Merchant


@pytest.fixture
def shop(live: Live, merchant: Merchant) -> AlipayShop:
    return AlipayShop(live, merchant)


def arm(shop: AlipayShop, mode: str, **more: Any) -> None:
    shop.live.control("/faults", {"target": "alipay", "mode": mode, **more})


def parameters(shop: AlipayShop, method: str, content: dict[str, Any], **changes: str) -> dict[str, str]:
    """Return a signed request as its parameters, *changes* signed with it."""
    body = shop.client.build_body(method, content, **changes)
    return dict(parse_qsl(shop.client.sign_data(body), keep_blank_values=True))


def post(shop: AlipayShop, common: dict[str, str], form: dict[str, str]) -> str:
    """Ask as the official libraries do: common parameters in the address, the others as a form."""
    return requests.post(f"{shop.live.url}/gateway.do", params=common, data=form, timeout=10).text


def test_trade_is_paid_and_queried(shop: AlipayShop) -> None:
    made = shop.trade()
    waiting = shop.query()
    told = shop.succeed()
    paid = shop.query()

    assert (made["code"], made["out_trade_no"], made["trade_no"]) == ("10000", NUMBER, waiting["trade_no"])
    assert (waiting["trade_status"], waiting["total_amount"]) == ("WAIT_BUYER_PAY", "128.00")
    assert "send_pay_date" not in waiting
    assert (told["delivered"], told["trade_state"], told["trade_status"]) == (
        True,
        "SUCCESS",
        "TRADE_SUCCESS",
    )
    assert (paid["trade_status"], paid["buyer_user_id"]) == ("TRADE_SUCCESS", BUYER)
    assert paid["send_pay_date"] and shop.shown("payments", NUMBER)["callback"]["fate"] == "delivered"


def test_same_request_again_is_the_same_trade(shop: AlipayShop) -> None:
    assert shop.trade()["trade_no"] == shop.trade()["trade_no"]


@pytest.mark.parametrize(
    ("label", "changes", "sub_code"),
    [
        ("other amount", {"amount": "128.01"}, "ACQ.CONTEXT_INCONSISTENT"),
        ("other subject", {"subject": "x"}, "ACQ.CONTEXT_INCONSISTENT"),
        ("other buyer", {"buyer_id": "2088102169481076"}, "ACQ.CONTEXT_INCONSISTENT"),
    ],
)
def test_same_number_with_other_terms_is_refused(
    shop: AlipayShop, label: str, changes: dict[str, Any], sub_code: str
) -> None:
    shop.trade()

    assert shop.trade(**changes)["sub_code"] == sub_code
    assert shop.query()["total_amount"] == "128.00"


@pytest.mark.parametrize(
    ("label", "changes"),
    [
        ("no amount", {"amount": None}),
        ("zero", {"amount": "0.00"}),
        ("negative", {"amount": "-1.00"}),
        ("three decimals", {"amount": "1.001"}),
        ("words", {"amount": "one"}),
        ("forbidden sign", {"subject": "a=b"}),
        ("long subject", {"subject": "x" * 257}),
        ("no subject", {"subject": None}),
        ("no buyer", {"buyer_id": None}),
        ("odd buyer", {"buyer_id": "1234"}),
        ("other product", {"product_code": "FACE_TO_FACE_PAYMENT"}),
        ("other application", {"op_app_id": "2021"}),
        ("long number", {"number": "P" * 65}),
        ("odd number", {"number": "P-1"}),
        ("expired", {"time_expire": "2020-01-01 00:00:00"}),
        ("odd expiry", {"time_expire": "tomorrow"}),
        ("no such day", {"time_expire": "2027-02-30 00:00:00"}),
        ("address of nobody", {"notify_url": "nowhere"}),
    ],
)
def test_terms_that_are_refused(shop: AlipayShop, label: str, changes: dict[str, Any]) -> None:
    answer = shop.trade(**changes)

    assert answer["code"] in ("40002", "40004") and answer["sub_code"]
    assert shop.live.sandbox.store.count("alipay_trade") == 0


def test_amount_may_be_a_number(shop: AlipayShop) -> None:
    assert shop.trade(amount=0.29)["code"] == "10000"
    assert shop.query()["total_amount"] == "0.29"


def test_code_is_no_trade_before_it_is_scanned(shop: AlipayShop) -> None:
    made = shop.code()
    unknown = [shop.query(), shop.close(), shop.refund()]
    shown = shop.live.control(f"/payments/alipay/{NUMBER}/scan")
    waiting = shop.query()

    assert made["qr_code"].startswith("https://qr.alipay.com/")
    assert {answer["sub_code"] for answer in unknown} == {"ACQ.TRADE_NOT_EXIST"}
    assert (shown["is_scanned"], waiting["trade_status"]) == (True, "WAIT_BUYER_PAY")
    assert waiting["buyer_user_id"].startswith("2088")


def test_code_that_expired_makes_no_trade(shop: AlipayShop) -> None:
    shop.code(time_expire=shop.stamp(minutes=5))
    shop.live.clock.offset = timedelta(minutes=6)

    response = shop.live.post(f"/_control/payments/alipay/{NUMBER}/scan")

    assert (response.status_code, response.json()["code"]) == (409, "invalid_transition")
    assert shop.query()["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_trade_closes_at_its_expiry_or_when_asked(shop: AlipayShop) -> None:
    shop.trade(time_expire=shop.stamp(minutes=5))
    shop.trade("P20260102")
    closed = shop.close("P20260102")
    shop.live.clock.offset = timedelta(minutes=5, seconds=1)

    assert closed["code"] == "10000"
    assert [shop.query(number)["trade_status"] for number in (NUMBER, "P20260102")] == ["TRADE_CLOSED"] * 2
    assert shop.close()["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
    assert shop.trade()["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


def test_paid_trade_is_not_closed(shop: AlipayShop) -> None:
    shop.paid()

    assert shop.close()["sub_code"] == "ACQ.REASON_TRADE_STATUS_INVALID"
    assert shop.trade()["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"


def test_closed_trade_is_paid_late_all_the_same(shop: AlipayShop) -> None:
    shop.trade()
    shop.close()
    shop.succeed()

    assert shop.query()["trade_status"] == "TRADE_SUCCESS"


def test_buyer_who_gives_up_closes_the_trade(shop: AlipayShop) -> None:
    shop.trade()

    told = shop.live.control(f"/payments/alipay/{NUMBER}/fail")

    notice = shop.opened(shop.merchant.wait_for(1)[0])
    assert (told["trade_state"], told["delivered"]) == ("CLOSED", True)
    assert (notice["trade_status"], "gmt_payment" in notice) == ("TRADE_CLOSED", False)
    shop.paid("P20260102")
    refused = shop.live.post("/_control/payments/alipay/P20260102/fail")
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")


def test_notice_is_a_form_signed_with_its_empty_fields(shop: AlipayShop) -> None:
    shop.paid()

    (callback,) = shop.merchant.wait_for(1)
    fields = shop.opened(callback)
    assert callback.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    keys = shop.live.credentials["alipay"]
    assert (fields["app_id"], fields["seller_id"]) == (keys["app_id"], keys["seller_id"])
    assert (fields["out_trade_no"], fields["total_amount"]) == (NUMBER, "128.00")
    assert (fields["trade_status"], fields["notify_type"]) == ("TRADE_SUCCESS", "trade_status_sync")
    assert (fields["body"], fields["subject"]) == ("", "雀坊 包间 4 小时")
    assert "refund_fee" not in fields


def test_notice_is_stamped_anew_and_keeps_its_id(shop: AlipayShop) -> None:
    shop.trade()
    shop.merchant.statuses = [500, 204]
    told = shop.succeed()

    sent = [shop.opened(callback) for callback in shop.merchant.wait_for(3)]
    shop.live.clock.offset = timedelta(hours=1)
    shop.succeed()
    sent += [shop.opened(callback) for callback in shop.merchant.wait_for(4)[3:]]

    assert told["delivered"] is False
    assert len({fields["notify_id"] for fields in sent}) == 1
    assert sent[3]["notify_time"] > sent[0]["notify_time"]
    assert sent[3]["gmt_payment"] == sent[0]["gmt_payment"]


@pytest.mark.parametrize("word", [b"Success", b"success\n", b"ok", b"fail"])
def test_only_the_exact_word_ends_a_notice(shop: AlipayShop, word: bytes) -> None:
    shop.merchant.word = word
    shop.trade()

    assert shop.succeed()["delivered"] is False
    shop.merchant.word = b"success"
    assert shop.succeed()["delivered"] is True


def test_duplicates_losses_and_disorder(shop: AlipayShop) -> None:
    for number in ("P20260101", "P20260102", "P20260103", "P20260104"):
        shop.trade(number)
    arm(shop, "duplicate_callback", count=3)
    shop.succeed("P20260101")
    arm(shop, "drop_callback")
    dropped = shop.succeed("P20260102")
    arm(shop, "reorder", seconds=60)
    held = shop.succeed("P20260103")
    shop.succeed("P20260104")

    numbers = [shop.opened(callback)["out_trade_no"] for callback in shop.merchant.wait_for(6)]
    assert numbers == ["P20260101"] * 4 + ["P20260104", "P20260103"]
    assert (dropped["fate"], held["fate"]) == ("dropped", "held")


def test_probe_is_signed_for_another_sum(shop: AlipayShop) -> None:
    shop.paid()
    shop.merchant.word = b"fail"

    told = shop.live.control(f"/payments/alipay/{NUMBER}/probe")

    probe = shop.merchant.wait_for(2)[1]
    fields = dict(parse_qsl(probe.body.decode(), keep_blank_values=True))
    assert (told["delivered"], fields["total_amount"]) == (False, "1128.00")
    assert not shop.client.verify(fields, fields.pop("sign"))


def test_refund_is_under_way_until_it_is_settled(shop: AlipayShop) -> None:
    shop.paid()
    asked, again, unknown = shop.refund(), shop.refund(), shop.query_refund()
    told = shop.live.control("/refunds/alipay/R20260101/succeed")
    done, repeated, known = shop.shown("refunds", "R20260101"), shop.refund(), shop.query_refund()

    assert (asked["fund_change"], asked["refund_fee"], again) == ("N", "0.00", asked)
    assert unknown == {"code": "10000", "msg": "Success"}
    assert (told["delivered"], done["refund_status"]) == (True, "SUCCESS")
    assert (repeated["fund_change"], repeated["refund_fee"]) == ("N", "28.00")
    assert (known["refund_status"], known["refund_amount"]) == ("REFUND_SUCCESS", "28.00")
    notice = shop.opened(shop.merchant.wait_for(2)[1])
    assert (notice["trade_status"], notice["out_biz_no"]) == ("TRADE_SUCCESS", "R20260101")
    assert (notice["refund_fee"], notice["total_amount"]) == ("28.00", "128.00")
    assert notice["gmt_refund"]


def test_refund_without_delay_is_done_when_it_is_answered(shop: AlipayShop) -> None:
    shop.live.control("/settings", {"refund_delay_seconds": 0})
    shop.paid()

    part, rest = shop.refund(), shop.refund("R20260102", "100.00")

    assert [(answer["fund_change"], answer["refund_fee"]) for answer in (part, rest)] == [
        ("Y", "28.00"),
        ("Y", "128.00"),
    ]
    # What went back whole is closed like what was never paid.
    assert shop.query()["trade_status"] == "TRADE_CLOSED"
    assert shop.query()["send_pay_date"]
    told = [shop.opened(callback) for callback in shop.merchant.wait_for(3)[1:]]
    assert {notice["out_biz_no"] for notice in told} == {"R20260101", "R20260102"}


def test_refund_settles_by_itself_after_the_delay(shop: AlipayShop) -> None:
    shop.live.control("/settings", {"refund_delay_seconds": 0.05})
    shop.paid()

    assert shop.refund()["fund_change"] == "N"

    assert shop.opened(shop.merchant.wait_for(2)[1])["out_biz_no"] == "R20260101"
    assert shop.query_refund()["refund_status"] == "REFUND_SUCCESS"


def test_refund_that_fails_is_refused_from_then_on(shop: AlipayShop) -> None:
    shop.paid()
    shop.refund()

    told = shop.live.control("/refunds/alipay/R20260101/abnormal")

    assert (told["refund_status"], told["fate"]) == ("ABNORMAL", "not_sent")
    assert shop.refund()["sub_code"] == "ACQ.TRADE_NOT_ALLOW_REFUND"
    shop.live.control("/refunds/alipay/R20260101/succeed")
    refused = shop.live.post("/_control/refunds/alipay/R20260101/abnormal")
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")


@pytest.mark.parametrize(
    ("label", "ask", "sub_code"),
    [
        ("other amount", lambda shop: shop.refund(amount="28.01"), "ACQ.DISCORDANT_REPEAT_REQUEST"),
        ("too much", lambda shop: shop.refund("R2", "100.01"), "ACQ.REASON_TRADE_REFUND_FEE_ERR"),
        ("nothing", lambda shop: shop.refund("R2", "0.00"), "ACQ.INVALID_PARAMETER"),
        ("unknown trade", lambda shop: shop.refund("R2", out_trade_no="P9"), "ACQ.TRADE_NOT_EXIST"),
    ],
)
def test_refunds_that_are_refused(
    shop: AlipayShop, label: str, ask: Callable[[AlipayShop], Any], sub_code: str
) -> None:
    shop.paid()
    shop.refund()

    assert ask(shop)["sub_code"] == sub_code
    assert len(shop.shown("payments", NUMBER)["refunds"]) == 1


def test_refund_of_last_year_is_refused(shop: AlipayShop) -> None:
    shop.trade()
    shop.live.clock.offset = timedelta(days=-366)
    shop.succeed()
    shop.live.clock.offset = timedelta(0)

    assert shop.refund()["sub_code"] == "ACQ.TRADE_HAS_FINISHED"


def test_adopted_payment_can_be_refunded(shop: AlipayShop) -> None:
    payment = {
        "out_trade_no": NUMBER,
        "transaction_id": "2026010122001400000000000001",
        "total_fen": 12800,
        "refunded_fen": 800,
        "paid_at": "2026-01-01T12:00:00+08:00",
    }
    for expected in (1, 0):
        told = shop.live.control("/payments/alipay/adopt", {"payments": [payment]})
        assert told == {"adopted": expected}

    found = shop.query()
    assert (found["trade_no"], found["trade_status"]) == (payment["transaction_id"], "TRADE_SUCCESS")
    other = shop.live.post(
        "/_control/payments/alipay/adopt", {"payments": [payment | {"out_trade_no": "P20260102"}]}
    )
    assert other.status_code == 422
    assert shop.merchant.received == []


@pytest.mark.parametrize(
    ("label", "changes", "sub_code"),
    [
        ("another application", {"app_id": "2021000000000000"}, "isv.invalid-app-id"),
        ("no such method", {"method": "alipay.trade.fly"}, "isv.invalid-method"),
        ("weaker signature", {"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ("another alphabet", {"charset": "GBK"}, "isv.invalid-charset"),
        ("clock of another zone", {"timestamp": "2020-01-01 00:00:00"}, "isv.invalid-timestamp"),
        ("other notation of time", {"timestamp": "2020-01-01T00:00:00Z"}, "isv.invalid-timestamp"),
        ("no such day", {"timestamp": "2026-02-30 00:00:00"}, "isv.invalid-timestamp"),
    ],
)
def test_requests_of_strangers_are_refused_unsigned(
    shop: AlipayShop, label: str, changes: dict[str, str], sub_code: str
) -> None:
    method = changes.pop("method", "alipay.trade.query")
    sent = parameters(shop, method, {"out_trade_no": NUMBER}, **changes)

    answer = json.loads(post(shop, sent, {}))

    assert "sign" not in answer
    (node,) = answer.values()
    assert (node["code"], node["sub_code"]) == ("40002", sub_code)


def test_altered_request_is_refused_unsigned(shop: AlipayShop) -> None:
    sent = parameters(shop, "alipay.trade.query", {"out_trade_no": NUMBER})
    altered = sent | {"biz_content": sent["biz_content"].replace(NUMBER, "P20260109")}
    without = {name: value for name, value in sent.items() if name != "sign"}

    codes = [
        json.loads(post(shop, wrong, {}))["alipay_trade_query_response"]["sub_code"]
        for wrong in (altered, without, sent | {"sign": "@@"})
    ]

    assert codes == ["isv.invalid-signature", "isv.missing-signature", "isv.invalid-signature"]


def test_library_throws_where_it_is_refused_unsigned(shop: AlipayShop) -> None:
    stranger = Client(shop.live, app_private_key=private_pem(new_key()))

    with pytest.raises(AliPayException, match="invalid-signature"):
        stranger.api_alipay_trade_query(out_trade_no=NUMBER)
    # It looks for the answer to create under another name.
    with pytest.raises(AttributeError):
        stranger.api_alipay_trade_create("x", NUMBER, "1.00")


def test_answer_is_signed_by_alipay_alone(shop: AlipayShop) -> None:
    shop.paid()
    other = Client(shop.live, alipay_public_key=shop.live.credentials["wechat_pay"]["public_key"])

    with pytest.raises(AliPayValidationError):
        other.api_alipay_trade_query(out_trade_no=NUMBER)


def test_parameters_may_come_as_a_form(shop: AlipayShop) -> None:
    """Common ones in the address, the business ones as a form, as the official libraries send them."""
    shop.paid()
    sent = parameters(shop, "alipay.trade.query", {"out_trade_no": NUMBER})
    content = {"biz_content": sent.pop("biz_content")}

    text = post(shop, sent, content)

    node = text[text.index(":") + 1 : text.rindex(',"sign"')]
    signature = base64.b64decode(json.loads(text)["sign"])
    key: Any = load_pem_public_key(shop.live.credentials["alipay"]["alipay_public_key"].encode())
    key.verify(signature, node.encode(), PKCS1v15(), SHA256())
    assert json.loads(node)["trade_status"] == "TRADE_SUCCESS"


def test_business_parameters_that_are_no_object_are_refused(shop: AlipayShop) -> None:
    for content in ("[]", "{", "5", "[" * 100_000):
        body = shop.client.build_body("alipay.trade.query") | {"biz_content": content}
        sent = dict(parse_qsl(shop.client.sign_data(body), keep_blank_values=True))
        found = json.loads(post(shop, {}, sent))["alipay_trade_query_response"]
        assert found["sub_code"] == "isv.illegal-json"


def test_login_code_of_the_control_path_is_good_for_one_login(shop: AlipayShop) -> None:
    def log_in(code: str, grant: str = "authorization_code") -> Any:
        body = shop.client.build_body("alipay.system.oauth.token", grant_type=grant, code=code)
        return shop.client.verified_sync_response(body, "alipay_system_oauth_token_response")

    code = shop.live.control("/login-codes", {"openid": "oAlice"})["code"]
    assert log_in(code, "password")["sub_code"] == "isv.invalid-parameter"
    assert log_in(code)["open_id"] == "oAlice"
    assert log_in(code)["sub_code"] == "isv.code-invalid"
    number = shop.live.control("/login-codes", {"openid": BUYER})["code"]
    assert log_in(number)["user_id"] == BUYER
    late = shop.live.control("/login-codes", {"openid": BUYER})["code"]
    shop.live.clock.offset = timedelta(minutes=5)
    assert log_in(late)["sub_code"] == "isv.code-invalid"


def test_address_of_a_bill_is_good_for_half_a_minute(shop: AlipayShop) -> None:
    shop.paid()
    day = shop.query()["send_pay_date"][:10]
    asked = {"bill_type": "trade", "bill_date": day}
    address = shop.client.server_api("alipay.data.dataservice.bill.downloadurl.query", asked)
    url = address["bill_download_url"].removeprefix(shop.live.url)

    good = shop.live.get(url)
    shop.live.clock.offset = timedelta(seconds=30)
    late = shop.live.get(url)

    assert (good.status_code, good.content[:2]) == (200, b"PK")
    # The names are GBK, and nothing in the archive says so.
    assert "业务明细".encode("gbk") in good.content
    assert late.status_code == 403


@pytest.mark.parametrize(
    ("asked", "sub_code"),
    [
        ({"bill_type": "trade", "bill_date": "2020-01-01"}, "BILL_NOT_EXIST"),
        ({"bill_type": "trade", "bill_date": "2126-01-01"}, "isv.invalid-parameter"),
        ({"bill_type": "trade", "bill_date": "yesterday"}, "ACQ.INVALID_PARAMETER"),
        ({"bill_type": "signcustomer", "bill_date": "2020-01-01"}, "ACQ.INVALID_PARAMETER"),
    ],
)
def test_bills_that_are_refused(shop: AlipayShop, asked: dict[str, str], sub_code: str) -> None:
    method = "alipay.data.dataservice.bill.downloadurl.query"

    assert shop.client.server_api(method, asked)["sub_code"] == sub_code


def test_busy_gateway_says_so_signed(shop: AlipayShop) -> None:
    arm(shop, "error", operation="query")
    arm(shop, "error", operation="create", after_commit=True)

    assert shop.trade()["code"] == "20000"
    assert shop.query()["code"] == "20000"
    assert shop.query()["trade_status"] == "WAIT_BUYER_PAY"


def test_page_shows_trades_and_pays_them(shop: AlipayShop) -> None:
    shop.trade()

    before = shop.live.get("/").text
    answer = shop.live.post(f"/payments/alipay/{NUMBER}/succeed", allow_redirects=False)

    assert f'action="/payments/alipay/{NUMBER}/succeed"' in before and "待支付" in before
    assert answer.status_code == 303
    assert "已支付" in shop.live.get("/").text
    assert shop.query()["trade_status"] == "TRADE_SUCCESS"
