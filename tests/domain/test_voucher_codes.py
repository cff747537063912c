"""Voucher codes: strength, shape, what people type, and slips that the checksum catches."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.voucher_codes import (
    ALPHABET,
    CODE_SYMBOLS,
    RANDOM_SYMBOLS,
    grouped_code,
    is_well_formed,
    new_code,
    normalise_code,
)

# A fixed code, so that a change of alphabet or checksum cannot go unnoticed: sold codes must stay valid.
SOLD = "7K2M9QXATB4HZWD3RG82"
symbols = st.sampled_from(ALPHABET)
places = st.integers(min_value=0, max_value=CODE_SYMBOLS - 1)


def test_at_least_79_bits() -> None:
    assert RANDOM_SYMBOLS * log2(len(ALPHABET)) >= 79
    assert len(set(ALPHABET)) == len(ALPHABET)
    assert not set(ALPHABET) & set("0O1ILU")


def test_new_codes_are_well_formed_and_all_different() -> None:
    codes = {new_code() for _ in range(500)}
    assert len(codes) == 500
    assert all(is_well_formed(code) for code in codes)
    # Every symbol turns up at the first place sooner or later; 500 draws miss one with a chance of 1e-6.
    assert {code[0] for code in codes} == set(ALPHABET)


def test_a_sold_code_stays_valid() -> None:
    assert is_well_formed(SOLD)
    assert grouped_code(SOLD) == "7K2M-9QXA-TB4H-ZWD3-RG82"


@pytest.mark.parametrize(
    ("label", "typed"),
    [
        ("as stored", SOLD),
        ("as printed", grouped_code(SOLD)),
        ("lower case", SOLD.lower()),
        ("spaces around and inside", f"  {grouped_code(SOLD).replace('-', ' ')}\n"),
        ("full-width letters", "".join(chr(ord(symbol) + 0xFEE0) for symbol in SOLD)),
        ("full-width hyphens and spaces", grouped_code(SOLD).replace("-", "－") + "　"),
        ("dashes of a word processor", grouped_code(SOLD).replace("-", "—")),
    ],
)
def test_normalise_code(label: str, typed: str) -> None:
    assert normalise_code(typed) == SOLD


@pytest.mark.parametrize(
    ("label", "typed"),
    [
        ("nothing", ""),
        ("too short", SOLD[:-1]),
        ("too long", SOLD + "2"),
        ("excluded letter", "O" + SOLD[1:]),
        ("chinese", "团购券" * 7),
        ("very long", "7" * 100_000),
        ("null byte", SOLD[:-1] + "\0"),
    ],
)
def test_what_is_no_code(label: str, typed: str) -> None:
    assert not is_well_formed(normalise_code(typed))


@settings(max_examples=200)
@given(places, symbols)
def test_one_wrong_symbol_is_caught(place: int, symbol: str) -> None:
    typed = SOLD[:place] + symbol + SOLD[place + 1 :]
    assert is_well_formed(typed) is (typed == SOLD)


@pytest.mark.parametrize("place", range(CODE_SYMBOLS - 1))
def test_two_swapped_neighbours_are_caught(place: int) -> None:
    typed = SOLD[:place] + SOLD[place + 1] + SOLD[place] + SOLD[place + 2 :]
    assert is_well_formed(typed) is (typed == SOLD)
