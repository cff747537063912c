"""The mini-program API as wechatpy and raw calls see it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image
from wechatpy.exceptions import WeChatClientException

from tests.sandbox.live import OPENID, Live, LoopbackClient
from tests.sandbox.shop import Shop


def login(live: Live, code: str, **changes: str) -> dict[str, Any]:
    keys = live.credentials["wechat"]
    query = {
        "appid": keys["app_id"], "secret": keys["app_secret"], "js_code": code,
        "grant_type": "authorization_code",
    }  # fmt: skip
    response = live.get("/sns/jscode2session", params=query | changes)
    assert response.status_code == 200
    return response.json()


def new_codes(live: Live, **changes: Any) -> dict[str, Any]:
    return live.control("/login-codes", {"openid": OPENID, "phone": "13800138000"} | changes)


def refused(call: Any, *arguments: Any) -> WeChatClientException:
    with pytest.raises(WeChatClientException) as caught:
        call(*arguments)
    return caught.value


def test_login_code_works_once(live: Live) -> None:
    code = new_codes(live)["code"]

    session = login(live, code)

    assert session["openid"] == OPENID and "errcode" not in session
    again = login(live, code)
    assert again["errcode"] == 40163 and " rid: " in again["errmsg"]


def test_login_code_dies_after_five_minutes(live: Live) -> None:
    early, late = new_codes(live)["code"], new_codes(live)["code"]

    live.clock.offset = timedelta(seconds=290)
    assert login(live, early)["openid"] == OPENID
    live.clock.offset = timedelta(seconds=301)
    assert login(live, late)["errcode"] == 40029


@pytest.mark.parametrize(
    ("label", "changes", "errcode"),
    [
        ("unknown code", {"js_code": "unknown"}, 40029),
        ("empty code", {"js_code": ""}, 40029),
        ("other application", {"appid": "wx0"}, 40013),
        ("wrong secret", {"secret": "0"}, 40125),
        ("wrong grant", {"grant_type": "client_credential"}, 40002),
    ],
)
def test_login_is_refused_for(live: Live, label: str, changes: dict[str, str], errcode: int) -> None:
    code = new_codes(live)["code"]

    assert login(live, code, **changes)["errcode"] == errcode
    assert login(live, code)["openid"] == OPENID


def test_phone_code_works_once(live: Live, wechat: LoopbackClient) -> None:
    code = new_codes(live)["phone_code"]

    info = wechat.call("/wxa/business/getuserphonenumber", {"code": code})["phone_info"]

    assert info["phoneNumber"] == info["purePhoneNumber"] == "13800138000"
    assert info["countryCode"] == "86" and info["watermark"]["appid"] == wechat.appid
    assert refused(wechat.call, "/wxa/business/getuserphonenumber", {"code": code}).errcode == 40029


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ("13800138000", ("86", "13800138000", "13800138000")),
        ("+8613800138000", ("86", "13800138000", "13800138000")),
        ("+85291234567", ("852", "91234567", "85291234567")),
    ],
)
def test_phone_number_is_split_from_its_country(
    live: Live, wechat: LoopbackClient, phone: str, shown: tuple[str, str, str]
) -> None:
    code = new_codes(live, phone=phone)["phone_code"]
    info = wechat.call("/wxa/business/getuserphonenumber", {"code": code})["phone_info"]

    assert (info["countryCode"], info["purePhoneNumber"], info["phoneNumber"]) == shown


def test_phone_code_is_no_login_code_and_not_another_user_s(live: Live, wechat: LoopbackClient) -> None:
    codes = new_codes(live)

    assert login(live, codes["phone_code"])["errcode"] == 40029
    for body in (
        {"code": codes["code"]},
        {"code": codes["phone_code"], "openid": "oBob"},
        {"code": 1},
        {"x": 1},
    ):
        assert refused(wechat.call, "/wxa/business/getuserphonenumber", body).errcode == 40029
    assert wechat.call("/wxa/business/getuserphonenumber", {"code": codes["phone_code"], "openid": OPENID})


def test_user_without_a_phone_has_no_phone_code_and_keeps_an_earlier_one(live: Live) -> None:
    assert new_codes(live, openid="oNew", phone=None)["phone_code"] is None
    new_codes(live)
    assert new_codes(live, phone=None)["phone_code"]


@pytest.mark.parametrize(
    ("label", "token", "errcode"), [("missing", "", 41001), ("unknown", "unknown", 40001)]
)
def test_token_is_refused_when(live: Live, label: str, token: str, errcode: int) -> None:
    body = {"scene": "a"}
    assert live.post(f"/wxa/getwxacodeunlimit?access_token={token}", body).json()["errcode"] == errcode


def test_tokens_expire_on_demand(live: Live, wechat: LoopbackClient) -> None:
    assert wechat.access_token
    live.control("/tokens/expire")

    assert refused(wechat.call, "/wxa/sec/order/is_trade_managed", {"appid": wechat.appid}).errcode == 42001


def stable(live: Live, **changes: Any) -> dict[str, Any]:
    keys = live.credentials["wechat"]
    body = {"grant_type": "client_credential", "appid": keys["app_id"], "secret": keys["app_secret"]}
    return live.post("/cgi-bin/stable_token", body | changes).json()


def is_valid(live: Live, token: str) -> bool:
    body = {"appid": live.credentials["wechat"]["app_id"]}
    path = f"/wxa/sec/order/is_trade_managed?access_token={token}"
    return bool(live.post(path, body).json()["errcode"] == 0)


def test_stable_token_stays_the_same_until_its_last_five_minutes(live: Live) -> None:
    first = stable(live)
    live.clock.offset = timedelta(seconds=6890)
    assert stable(live)["access_token"] == first["access_token"]

    live.clock.offset = timedelta(seconds=6901)
    second = stable(live)

    assert second["access_token"] != first["access_token"]
    assert is_valid(live, first["access_token"]) and is_valid(live, second["access_token"])


def test_forced_stable_token_kills_the_old_one_and_is_rationed(live: Live) -> None:
    first = stable(live)["access_token"]

    second = stable(live, force_refresh=True)["access_token"]

    assert not is_valid(live, first) and is_valid(live, second)
    assert stable(live, force_refresh=True)["errcode"] == 45011
    assert is_valid(live, second)


def test_classic_token_replaces_the_one_before_within_five_minutes(live: Live) -> None:
    keys = live.credentials["wechat"]
    query = {"grant_type": "client_credential", "appid": keys["app_id"], "secret": keys["app_secret"]}
    first, second = (live.get("/cgi-bin/token", params=query).json()["access_token"] for _ in range(2))
    kept = stable(live)["access_token"]

    assert is_valid(live, first)
    live.clock.offset = timedelta(seconds=301)

    assert not is_valid(live, first) and is_valid(live, second) and is_valid(live, kept)


@pytest.mark.parametrize(
    ("label", "changes", "errcode"),
    [
        ("other application", {"appid": "wx0"}, 40013),
        ("wrong secret", {"secret": None}, 40125),
        ("wrong grant", {"grant_type": 1}, 40002),
    ],
)
def test_stable_token_is_refused_for(live: Live, label: str, changes: dict[str, Any], errcode: int) -> None:
    assert stable(live, **changes)["errcode"] == errcode


def message(**changes: Any) -> dict[str, Any]:
    data = {"thing1": {"value": "雀坊 A1 包间"}, "time2": {"value": "2026年1月1日 15:01"}}
    body = {"touser": OPENID, "template_id": "T-paid", "page": "pages/order/detail?no=1", "data": data}
    return body | changes


SEND = "/cgi-bin/message/subscribe/send"


def test_messages_land_in_the_outbox_in_order(live: Live, wechat: LoopbackClient) -> None:
    wechat.call(SEND, message(miniprogram_state="developer", lang="zh_CN"))
    wechat.call(SEND, message(template_id="T-second"))

    sent = live.outbox()

    assert [(item["id"], item["template_id"]) for item in sent] == [(1, "T-paid"), (2, "T-second")]
    assert sent[0]["touser"] == OPENID and sent[0]["data"] == message()["data"]
    assert sent[0]["kind"] == "subscribe_message" and sent[0]["miniprogram_state"] == "developer"


def test_message_credits_run_out(live: Live, wechat: LoopbackClient) -> None:
    live.control("/consents", {"openid": OPENID, "template_id": "T-paid", "credits": 1})

    wechat.call(SEND, message())

    assert refused(wechat.call, SEND, message()).errcode == 43101
    assert len(live.outbox()) == 1
    wechat.call(SEND, message(template_id="T-other"))
    wechat.call(SEND, message(touser="oBob"))
    live.control("/consents", {"openid": OPENID, "template_id": "T-paid"})
    wechat.call(SEND, message())
    assert len(live.outbox()) == 4


@pytest.mark.parametrize(
    ("label", "changes", "errcode", "text"),
    [
        ("no user", {"touser": None}, 40003, "openid"),
        ("bad user", {"touser": "o alice"}, 40003, "openid"),
        ("no template", {"template_id": ""}, 40037, "template_id"),
        ("template no text", {"template_id": 7}, 40037, "template_id"),
        ("page with slash", {"page": "/pages/index"}, 41030, "page"),
        ("page too long", {"page": "p" * 1025}, 41030, "page"),
        ("page elsewhere", {"page": "https://example.com"}, 41030, "page"),
        ("no data", {"data": None}, 47003, "data"),
        ("data a list", {"data": []}, 47003, "data"),
        ("too long", {"data": {"thing1": {"value": "长" * 21}}}, 47003, "data.thing1.value"),
        ("value missing", {"data": {"thing1": {}}}, 47003, "data.thing1.value"),
        ("value no text", {"data": {"number1": {"value": 3}}}, 47003, "data.number1.value"),
        ("plain text", {"data": {"thing1": "x"}}, 47003, "data.thing1.value"),
        ("unknown kind", {"data": {"money1": {"value": "3"}}}, 47003, "data.money1.value"),
        ("bad version", {"miniprogram_state": "production"}, 47003, "miniprogram_state"),
        ("bad language", {"lang": "zh"}, 47003, "lang"),
    ],
)
def test_message_is_refused_for(
    live: Live, wechat: LoopbackClient, label: str, changes: dict[str, Any], errcode: int, text: str
) -> None:
    live.control("/consents", {"openid": OPENID, "template_id": "T-paid", "credits": 1})

    error = refused(wechat.call, SEND, message(**changes))

    assert error.errcode == errcode and f"{text} " in f"{error.errmsg} "
    assert live.outbox() == []
    wechat.call(SEND, message())


@pytest.mark.parametrize(
    ("raw", "errcode"), [(b"", 44002), (b"{", 47001), (b"[1]", 47001), (b"\xff{}", 47001)]
)
def test_body_is_refused_when_it_is(live: Live, wechat: LoopbackClient, raw: bytes, errcode: int) -> None:
    path = f"{SEND}?access_token={wechat.access_token}"

    assert live.post(path, data=raw).json()["errcode"] == errcode


@pytest.mark.parametrize(
    ("is_hyaline", "width", "kind"), [(False, 430, "JPEG"), (False, 1280, "JPEG"), (True, 280, "PNG")]
)
def test_mini_program_code_is_a_picture(
    wechat: LoopbackClient, is_hyaline: bool, width: int, kind: str
) -> None:
    body = {"scene": "r=12&s=3", "page": "pages/room/index", "width": width, "is_hyaline": is_hyaline}
    response = wechat.call("/wxa/getwxacodeunlimit", body)

    with Image.open(io.BytesIO(response.content)) as picture:
        assert (picture.format, picture.size) == (kind, (width, width))
    assert response.headers["Content-Type"] == f"image/{kind.lower()}"


@pytest.mark.parametrize(
    ("label", "changes", "errcode"),
    [
        ("scene too long", {"scene": "a" * 33}, 40129),
        ("scene empty", {"scene": ""}, 40129),
        ("scene with percent", {"scene": "a%20b"}, 40129),
        ("page with slash", {"page": "/pages/index"}, 41030),
        ("page with query", {"page": "pages/index?a=1"}, 41030),
        ("page too long", {"page": "p" * 129}, 41030),
        ("too narrow", {"width": 279}, 40097),
        ("too wide", {"width": 1281}, 40097),
        ("unknown version", {"env_version": "beta"}, 40097),
    ],
)
def test_mini_program_code_is_refused_for(
    wechat: LoopbackClient, label: str, changes: dict[str, Any], errcode: int
) -> None:
    assert refused(wechat.call, "/wxa/getwxacodeunlimit", {"scene": "a"} | changes).errcode == errcode


@pytest.mark.parametrize(
    ("content", "suggest", "label"),
    [("这里很安静", "pass", 100), ("来赌博吧", "risky", 20006), ("请加微信", "review", 10001)],
)
def test_text_is_judged(wechat: LoopbackClient, content: str, suggest: str, label: int) -> None:
    body = {"version": 2, "openid": OPENID, "scene": 2, "content": content}

    answer = wechat.call("/wxa/msg_sec_check", body)

    assert answer["result"] == {"suggest": suggest, "label": label}


@pytest.mark.parametrize(
    ("label", "changes", "errcode"),
    [
        ("first version", {"version": 1}, 40129),
        ("unknown scene", {"scene": 5}, 40129),
        ("no user", {"openid": ""}, 40003),
        ("nothing", {"content": ""}, 44002),
        ("too long", {"content": "长" * 2501}, 45002),
    ],
)
def test_text_check_is_refused_for(
    wechat: LoopbackClient, label: str, changes: dict[str, Any], errcode: int
) -> None:
    body = {"version": 2, "openid": OPENID, "scene": 2, "content": "x"}
    assert refused(wechat.call, "/wxa/msg_sec_check", body | changes).errcode == errcode


def test_text_check_wants_an_active_user(live: Live, wechat: LoopbackClient) -> None:
    login(live, new_codes(live)["code"])
    body = {"version": 2, "openid": OPENID, "scene": 2, "content": "x"}
    assert wechat.call("/wxa/msg_sec_check", body)["errcode"] == 0

    live.clock.offset = timedelta(hours=2, seconds=1)
    token = stable(live)["access_token"]

    assert live.post(f"/wxa/msg_sec_check?access_token={token}", body).json()["errcode"] == 61010


def shipping(**changes: Any) -> dict[str, Any]:
    body = {
        "order_key": {"order_number_type": 1, "mchid": "", "out_trade_no": "P20260101"},
        "logistics_type": 4,
        "delivery_mode": 1,
        "shipping_list": [{"item_desc": "包间 4 小时"}],
        "upload_time": "2026-01-01T12:00:00.000+08:00",
        "payer": {"openid": OPENID},
    }
    return body | changes


def test_shipping_is_reported_once_for_a_paid_order(shop: Shop, wechat: LoopbackClient) -> None:
    transaction = shop.paid()
    path = "/wxa/sec/order/upload_shipping_info"
    by_transaction = {"order_number_type": 2, "transaction_id": transaction["transaction_id"]}
    by_number = {
        "order_number_type": 1, "mchid": transaction["mchid"], "out_trade_no": transaction["out_trade_no"],
    }  # fmt: skip

    assert wechat.call(path, shipping(order_key=by_transaction))["errcode"] == 0
    assert refused(wechat.call, path, shipping(order_key=by_number)).errcode == 10060023


def test_shipping_is_refused_for_unpaid_unknown_and_foreign_orders(
    shop: Shop, wechat: LoopbackClient
) -> None:
    path = "/wxa/sec/order/upload_shipping_info"
    mchid = shop.live.credentials["wechat_pay"]["mchid"]
    key = {"order_number_type": 1, "mchid": mchid, "out_trade_no": "P20260101"}

    assert refused(wechat.call, path, shipping(order_key=key)).errcode == 10060001
    shop.prepay()
    assert refused(wechat.call, path, shipping(order_key=key)).errcode == 10060004
    foreign = shipping(order_key=key, payer={"openid": "oBob"})
    assert refused(wechat.call, path, foreign).errcode == 10060031
    assert refused(wechat.call, path, shipping(order_key=key, shipping_list=[])).errcode == 10060008


def test_what_is_left_after_a_refund_is_released_when_it_is_reported(
    shop: Shop, wechat: LoopbackClient
) -> None:
    transaction = shop.paid()
    path, shown = "/wxa/sec/order/upload_shipping_info", "/_control/payments/wechat/P20260101"
    key = {"order_number_type": 2, "transaction_id": transaction["transaction_id"]}
    shop.refund("R1", 2800)
    assert shop.live.get(shown).json()["is_released"] is False

    assert wechat.call(path, shipping(order_key=key))["errcode"] == 0

    assert shop.live.get(shown).json()["is_released"] is True
    shop.refund("R2", 10000)
    again = shipping(order_key=key, shipping_list=[{"item_desc": "包间 2 小时"}])
    assert refused(wechat.call, path, again).errcode == 10060004


def test_unknown_path_and_method_are_answered_in_the_service_s_own_form(live: Live) -> None:
    assert live.get("/wxa/unknown").json()["errcode"] == 40066
    assert live.get(SEND).json()["errcode"] == 43002
