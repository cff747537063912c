"""Value limits of subscribe messages, at and just beyond each edge."""

from __future__ import annotations

import pytest

from sandbox.message_fields import wrong_field


@pytest.mark.parametrize(
    ("key", "value", "is_right"),
    [
        ("thing1", "长" * 20, True),
        ("thing1", "长" * 21, False),
        ("thing1", "", False),
        ("number2", "9" * 32, True),
        ("number2", "9" * 33, False),
        ("number2", "3.5", True),
        ("number2", "三", False),
        ("letter3", "A" * 32, True),
        ("letter3", "A" * 33, False),
        ("letter3", "A1", False),
        ("symbol4", "!!!!!", True),
        ("symbol4", "!!!!!!", False),
        ("character_string5", "A-1/" * 8, True),
        ("character_string5", "A" * 33, False),
        ("character_string5", "包间A1", False),
        ("time6", "15:01", True),
        ("time6", "24:01", False),
        ("time6", "2019年10月1日 15:01", True),
        ("time6", "2019年10月1日 15:01~2019年10月1日 19:01", True),
        ("time6", "15:01 ~ 19:01", True),
        ("time6", "2019年13月1日 15:01", False),
        ("date7", "2019年10月1日", True),
        ("date7", "2019-10-01", True),
        ("date7", "1 October", False),
        ("amount8", "¥128.00", True),
        ("amount8", "128元", True),
        ("amount8", "9" * 10, True),
        ("amount8", "9" * 11, False),
        ("amount8", "¥¥1", False),
        ("phone_number9", "+86-138-0013-8000", True),
        ("phone_number9", "1" * 18, False),
        ("car_number10", "粤A8Z888挂", True),
        ("car_number10", "粤A8Z88888", False),
        ("name11", "张" * 10, True),
        ("name11", "张" * 11, False),
        ("name11", "A" * 20, True),
        ("name11", "A" * 21, False),
        ("phrase12", "预约成功啦", True),
        ("phrase12", "预约成功啦啦", False),
        ("phrase12", "OK", False),
        ("enum13", "已支付", True),
        ("thing", "x", False),
        ("unknown1", "x", False),
    ],
)
def test_value_is_judged_by_its_kind(key: str, value: str, is_right: bool) -> None:
    assert wrong_field({key: {"value": value}}) == (None if is_right else f"data.{key}.value")


def test_first_wrong_value_is_named() -> None:
    data = {"thing1": {"value": "x"}, "phrase2": {"value": "1"}, "thing3": {"value": ""}}

    assert wrong_field(data) == "data.phrase2.value"
