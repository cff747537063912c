"""Values of subscribe messages are fitted to their field types, or refused where half of them would lie."""

from __future__ import annotations

import pytest

from app.gateways.ports import GatewayRefused
from app.gateways.subscribe_fields import fit_field, fit_fields

FITTED = [
    ("thing: right at the limit", "thing1", "雀" * 20, "雀" * 20),
    ("thing: one over", "thing1", "雀" * 21, "雀" * 19 + "…"),
    ("thing: no space before the ellipsis", "thing1", "a" * 18 + " " + "b" * 9, "a" * 18 + "…"),
    ("thing: line ends and controls", "thing12", " 望京店\r\n牡丹\x00包间 ", "望京店 牡丹 包间"),
    ("thing: half a character", "thing1", "a\ud800b", "a b"),
    ("thing without a number", "thing", "牡丹", "牡丹"),
    ("phrase: right at the limit", "phrase2", "预约已确认", "预约已确认"),
    ("phrase: one over", "phrase2", "预约已经确认", "预约已经确"),
    ("phrase: signs between", "phrase2", "已确认(A1)", "已确认"),
    ("character string: over", "character_string3", "A" * 40, "A" * 32),
    ("character string: Chinese taken out", "character_string3", "单号B-2026", "B-2026"),
    ("letter", "letter1", "Room A1 é", "RoomA"),
    ("number", "number1", "12.5", "12.5"),
    ("number: right at the limit", "number1", "9" * 32, "9" * 32),
    ("amount: sign in front", "amount4", "¥128.00", "¥128.00"),
    ("amount: word behind", "amount4", "128元", "128元"),
    ("amount: groups of digits", "amount4", "1,280.00", "1280.00"),
    ("name: Chinese", "name1", "欧阳" * 6, "欧阳" * 5),
    ("name: letters", "name1", "A" * 21, "A" * 20),
    ("symbol", "symbol1", "######", "#####"),
    ("phone number", "phone_number1", "010-88888888-12345678", "010-88888888-1234"),
    ("car number", "car_number1", "京A12345678", "京A123456"),
    ("time", "time5", "2026年3月14日 19:00", "2026年3月14日 19:00"),
    ("time span", "time5", "2026年3月14日 19:00~23:00", "2026年3月14日 19:00~23:00"),
    ("date", "date5", "2026年3月14日", "2026年3月14日"),
]
REFUSED = [
    ("empty", "thing1", ""),
    ("only spaces", "thing1", " \n "),
    ("phrase without Chinese", "phrase1", "confirmed"),
    ("character string without ASCII", "character_string1", "单号"),
    ("number one digit too long", "number1", "9" * 33),
    ("number with a word", "number1", "12 hours"),
    ("amount too long", "amount1", "12345678901"),
    ("amount with words", "amount1", "about ¥5"),
    ("amount in other digits", "amount1", "١٢"),
    ("unknown type", "image1", "x"),
    ("name of no field", "1", "x"),
    ("no name", "", "x"),
]


@pytest.mark.parametrize(
    ("key", "value", "expected"), [row[1:] for row in FITTED], ids=[row[0] for row in FITTED]
)
def test_a_value_is_fitted(key: str, value: str, expected: str) -> None:
    assert fit_field(key, value) == expected


@pytest.mark.parametrize(("key", "value"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_value_that_cannot_be_fitted_is_refused(key: str, value: str) -> None:
    with pytest.raises(GatewayRefused) as refused:
        fit_field(key, value)

    assert (refused.value.code, refused.value.is_retryable) == ("47003", False)
    assert f"data.{key}.value" in refused.value.message


def test_all_fields_become_the_data_of_a_message() -> None:
    assert fit_fields({"thing1": "牡丹", "phrase2": "已确认"}) == {
        "thing1": {"value": "牡丹"},
        "phrase2": {"value": "已确认"},
    }
