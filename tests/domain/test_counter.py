"""What may be typed at the counter: amounts, slips, and never the number of a card."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.counter import Slip, change_fen, read_fen, read_slip, refuse_card_number
from app.domain.errors import CardNumberRefused, InvalidField

SLIP = {"terminal_no": "80012345", "reference_no": "603041200123", "card_tail": "6789"}


def test_slip_is_read_as_it_is_printed() -> None:
    typed = {"terminal_no": " 8001-2345 ", "reference_no": "６０３０ 4120 0123", "card_tail": "6789"}
    assert read_slip(typed) == Slip("80012345", "603041200123", "6789")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        pytest.param("card_tail", "6225760000001234", id="16 digits for 4"),
        pytest.param("card_tail", "6225 7600 0000 1234", id="in groups"),
        pytest.param("card_tail", "6225-7600-0000-1234-567", id="19 digits with dashes"),
        pytest.param("card_tail", "６２２５７６００００００１２３４", id="full-width"),
        pytest.param("card_tail", "٦٢٢٥٧٦٠٠٠٠٠٠١٢٣٤", id="digits of another script"),
        pytest.param("reference_no", "6225760000001", id="13 digits as a reference"),
        pytest.param("reference_no", "卡号 6225760000001234", id="among words"),
        pytest.param("terminal_no", "6225.7600.0000.1234", id="as a terminal"),
    ],
)
def test_number_of_a_card_is_refused_wherever_it_is_typed(field: str, text: str) -> None:
    with pytest.raises(CardNumberRefused) as caught:
        read_slip(SLIP | {field: text})
    assert caught.value.code == "card_number_refused"
    assert list(caught.value.errors or {}) == [field]
    assert text not in repr(vars(caught.value))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("terminal_no", ""),
        ("terminal_no", "123"),
        ("terminal_no", "123456789012"),
        ("terminal_no", "8001234;"),
        ("reference_no", "12345"),
        ("reference_no", None),
        ("reference_no", "终端编号一二三"),
        ("card_tail", "678"),
        ("card_tail", "67890"),
        ("card_tail", "67a9"),
        ("card_tail", 678),
    ],
)
def test_part_of_a_slip_is_refused_by_its_name(field: str, text: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        read_slip(SLIP | {field: text})
    assert caught.value.code == "invalid_field" and list(caught.value.errors or {}) == [field]


@pytest.mark.parametrize(
    "text", ["", "少了 5 元，找零时数错", "终端 80012345 凭证 123456", "电话 13800138000", "2026-03-04 1200"]
)
def test_words_with_shorter_numbers_are_no_card(text: str) -> None:
    refuse_card_number("reason", text)


@pytest.mark.parametrize(
    ("value", "fen"),
    [(None, None), ("", None), (0, 0), ("0", 0), ("12000", 12000), (10_000_000, 10_000_000)],
)
def test_amount_is_read(value: Any, fen: int | None) -> None:
    assert read_fen({"amount_fen": value}, "amount_fen") == fen


@pytest.mark.parametrize(
    "value", [-1, 10_000_001, "-5", "1.5", 1.5, True, "１２", "1e3", "9" * 30, "abc", [], {"a": 1}]
)
def test_amount_is_refused(value: Any) -> None:
    with pytest.raises(InvalidField):
        read_fen({"amount_fen": value}, "amount_fen")


@pytest.mark.parametrize(
    ("due", "tendered", "change"),
    [(12000, None, 0), (12000, 12000, 0), (12000, 12001, 1), (12000, 20000, 8000)],
)
def test_change_goes_back(due: int, tendered: int | None, change: int) -> None:
    assert change_fen(due, tendered) == change


@pytest.mark.parametrize("tendered", [0, 1, 11999])
def test_too_little_cash_is_refused(tendered: int) -> None:
    with pytest.raises(InvalidField):
        change_fen(12000, tendered)
