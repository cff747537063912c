"""WeChat mini-program server API: subscribe messages, text check, mini-program codes and shipping reports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from sandbox.clock import china_time
from sandbox.faults import Fault
from sandbox.fields import OPENID, Fields, json_object
from sandbox.message_fields import wrong_field
from sandbox.pictures import mini_program_code
from sandbox.services import Context, json_response
from sandbox.signing import random_text
from sandbox.wechat_base import Tokens, WeChatError, answer, read_body
from sandbox.wechat_pay_orders import Payment, Payments

PAGE = re.compile(r"[0-9A-Za-z_\-]+(/[0-9A-Za-z_\-]+)*(\?\S*)?")
PLAIN_PAGE = re.compile(r"[0-9A-Za-z_\-]+(/[0-9A-Za-z_\-]+)*")
SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]{1,32}")
# More would not fit into the picture.
MOST_PAGE = 128
MOST_PAGE_WITH_QUERY = 1024
ACTIVE_SECONDS = 7200
# Words that let tests see the service's other answers: (word, suggestion, label).
SUSPICIOUS = (
    ("色情", "risky", 20002),
    ("赌博", "risky", 20006),
    ("诈骗", "risky", 20008),
    ("加微信", "review", 10001),
)


class Messages:
    """The token-protected paths that are not about login."""

    def __init__(self, context: Context, tokens: Tokens) -> None:
        self._context = context
        self._store = context.store
        self._tokens = tokens
        self._payments = Payments(context.store, context.ring, context.clock)

    def add_paths(self, paths: Blueprint, busy: Callable[[Fault], Response]) -> None:
        """Add the paths to the mini-program blueprint."""
        for rule, target, operation, view in (
            ("/cgi-bin/message/subscribe/send", "wechat_message", "send", self._send),
            ("/wxa/getwxacodeunlimit", "wechat_api", "code", self._code),
            ("/wxa/msg_sec_check", "wechat_api", "text_check", self._check_text),
            ("/wxa/sec/order/upload_shipping_info", "wechat_api", "shipping", self._ship),
            ("/wxa/sec/order/is_trade_managed", "wechat_api", "shipping", self._is_trade_managed),
        ):
            guarded = self._context.faults.wrap(target, operation, self._tokens.require(view), busy)
            paths.add_url_rule(rule, rule, guarded, methods=["POST"])

    def set_credits(self) -> Response:
        """Control: {openid, template_id, credits} sets how many messages the user still accepts.

        credits null (or absent) returns to the development default, which is without limit.
        """
        fields = Fields(json_object(request.get_data()))
        key = _credit_key(fields.text("openid", 128, OPENID), fields.text("template_id", 128))
        if not fields.has("credits"):
            self._store.delete("credit", key)
            return json_response({"credits": None})
        left = fields.integer("credits", 0, 10_000)
        self._store.put("credit", key, {"left": left})
        return json_response({"credits": left})

    def _send(self) -> Response:
        body, _ = read_body()
        _check_openid(body.get("touser"))
        template_id = body.get("template_id")
        if not isinstance(template_id, str) or not template_id.strip() or len(template_id) > 128:
            raise WeChatError(40037, "invalid template_id")
        page = body.get("page")
        if page not in (None, "") and not _is_page(page):
            raise WeChatError(41030, "invalid page")
        _check_send_options(body)
        if (field := wrong_field(body.get("data"))) is not None:
            raise WeChatError(47003, f"argument invalid! {field} invalid")
        with self._store.transaction():
            self._use_credit(body["touser"], template_id)
            number = self._deliver(body)
        return answer({"msgid": number})

    def _use_credit(self, openid: str, template_id: str) -> None:
        key = _credit_key(openid, template_id)
        credit = self._store.get("credit", key)
        if credit is None:
            return
        if credit["left"] <= 0:
            raise WeChatError(43101, "user refuse to accept the msg")
        self._store.put("credit", key, {"left": credit["left"] - 1})

    def _deliver(self, body: dict[str, Any]) -> int:
        number = self._store.count("outbox") + 1
        names = ("touser", "template_id", "page", "data", "miniprogram_state", "lang")
        entry = {"id": number, "kind": "subscribe_message", "received_at": china_time(self._now())}
        self._store.put("outbox", str(number), entry | {name: body.get(name) for name in names})
        return number

    def _code(self) -> Response:
        body, fields = read_body()
        scene, page = body.get("scene"), body.get("page", "pages/index/index")
        if not isinstance(scene, str) or not SCENE.fullmatch(scene):
            raise WeChatError(40129, "invalid scene")
        if not isinstance(page, str) or len(page) > MOST_PAGE or not PLAIN_PAGE.fullmatch(page):
            raise WeChatError(41030, "invalid page")
        fields.flag("check_path", True)
        fields.flag("auto_color")
        fields.choice("env_version", ("release", "trial", "develop"), "release")
        is_hyaline = fields.flag("is_hyaline")
        width = fields.integer("width", 280, 1280, 430)
        kind = "png" if is_hyaline else "jpeg"
        return Response(mini_program_code(f"{page}?scene={scene}", width, kind), content_type=f"image/{kind}")

    def _check_text(self) -> Response:
        body, fields = read_body()
        _check_openid(body.get("openid"))
        if body.get("version") != 2 or body.get("scene") not in (1, 2, 3, 4):
            raise WeChatError(40129, "invalid scene")
        content = body.get("content")
        if not isinstance(content, str) or not content:
            raise WeChatError(44002, "empty content")
        if len(content) > 2500:
            raise WeChatError(45002, "content size out of limit")
        self._check_active(body["openid"])
        extras = (fields.optional_text(name, 2500) or "" for name in ("title", "nickname", "signature"))
        suggest, label = _verdict("\n".join([content, *extras]))
        detail = {"strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90}
        result = {"suggest": suggest, "label": label}
        return answer({"trace_id": random_text(32), "result": result, "detail": [detail]})

    def _check_active(self, openid: str) -> None:
        """Refuse users whose last login is too long ago; those who never logged in here pass."""
        person = self._store.get("person", openid)
        last = person["last_login_at"] if person else None
        if last is not None and self._now() - last > ACTIVE_SECONDS:
            raise WeChatError(61010, "code is expired")

    def _ship(self) -> Response:
        """Accept the shipping report that releases the money; error numbers from memory of the documents."""
        body, fields = read_body()
        fields.integer("logistics_type", 1, 4)
        fields.integer("delivery_mode", 1, 2)
        if fields.instant("upload_time") is None:
            fields.fail("upload_time", "必填")
        goods = body.get("shipping_list")
        if not isinstance(goods, list) or not goods or not all(_has_description(item) for item in goods):
            raise WeChatError(10060008, "商品描述 item_desc 字段不能为空")
        payer = fields.child("payer").text("openid", 128, OPENID)
        with self._store.transaction():
            payment = self._shipped_payment(fields.child("order_key"))
            if payment is None:
                raise WeChatError(10060001, "支付单不存在，请检查 order_key 字段")
            if payment.openid != payer:
                raise WeChatError(10060031, "该笔支付单不属于 openid 所指定的用户")
            if not payment.is_paid or self._refunded(payment) >= payment.total:
                raise WeChatError(10060004, "支付单处于不可发货的状态")
            report = json.dumps([body.get("logistics_type"), goods], sort_keys=True)
            if payment.shipping == report:
                raise WeChatError(10060023, "发货信息未更新")
            payment.shipping = report
            self._payments.save(payment)
        return answer({})

    def _refunded(self, payment: Payment) -> int:
        """Return how much of a payment goes back, in fen: what is left can still be delivered."""
        found = (self._store.get("refund", number) for number in payment.refund_nos)
        return payment.refunded_before + sum(int(refund["refund"]) for refund in found if refund)

    def _shipped_payment(self, key: Fields) -> Payment | None:
        if key.integer("order_number_type", 1, 2) == 2:
            return self._payments.find_transaction(key.text("transaction_id", 32))
        if key.text("mchid", 32) != self._context.ring.mchid:
            return None
        return self._payments.find(key.text("out_trade_no", 32))

    def _is_trade_managed(self) -> Response:
        body, _ = read_body()
        if body.get("appid") != self._context.ring.app_id:
            raise WeChatError(40013, "invalid appid")
        return answer({"is_trade_managed": True})

    def _now(self) -> float:
        return self._context.clock().timestamp()


def _check_openid(value: Any) -> None:
    if not isinstance(value, str) or not OPENID.fullmatch(value):
        raise WeChatError(40003, "invalid openid")


def _is_page(value: Any) -> bool:
    is_short = isinstance(value, str) and len(value) <= MOST_PAGE_WITH_QUERY
    return is_short and PAGE.fullmatch(value) is not None


def _check_send_options(body: dict[str, Any]) -> None:
    for name, allowed in (
        ("miniprogram_state", ("developer", "trial", "formal")),
        ("lang", ("zh_CN", "en_US", "zh_HK", "zh_TW")),
    ):
        if body.get(name) not in (None, *allowed):
            raise WeChatError(47003, f"argument invalid! {name} invalid")


def _credit_key(openid: str, template_id: str) -> str:
    return f"{openid}|{template_id}"


def _has_description(item: Any) -> bool:
    text = item.get("item_desc") if isinstance(item, dict) else None
    return isinstance(text, str) and 0 < len(text) <= 120


def _verdict(text: str) -> tuple[str, int]:
    for word, suggest, label in SUSPICIOUS:
        if word in text:
            return suggest, label
    return "pass", 100
