"""Voucher codes: random, short enough to read aloud, with a checksum that catches slips of the finger."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable

# Without 0 O 1 I L U: nothing that is confused in print or makes words.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
BASE = len(ALPHABET)
# 18 symbols of 30 are 88 bits, more than the 79 that codes need so that nobody can guess one.
RANDOM_SYMBOLS = 18
CHECK_SYMBOLS = 2
CODE_SYMBOLS = RANDOM_SYMBOLS + CHECK_SYMBOLS
GROUP_SYMBOLS = 4
# A prime below 30²: every single wrong symbol and every swap of two neighbours changes the remainder.
CHECK_PRIME = 887
MAX_TYPED = 64


def new_code(choose: Callable[[str], str] = secrets.choice) -> str:
    """Return a fresh code as it is stored: 20 symbols, no hyphens.

    *choose* picks each symbol; only example data may name one that can be foreseen.
    """
    payload = "".join(choose(ALPHABET) for _ in range(RANDOM_SYMBOLS))
    return payload + _check_symbols(payload)


def grouped_code(code: str) -> str:
    """Write a stored code for people: ``XXXX-XXXX-XXXX-XXXX-XXXX``."""
    return "-".join(code[at : at + GROUP_SYMBOLS] for at in range(0, len(code), GROUP_SYMBOLS))


def normalise_code(typed: str) -> str:
    """Return typed or scanned text as a code would be stored: upper case, full-width made narrow, no hyphens.

    The result is not necessarily a code; ask `is_well_formed`.
    """
    text = unicodedata.normalize("NFKC", typed[:MAX_TYPED]).upper()
    return "".join(symbol for symbol in text if symbol.isalnum())


def is_well_formed(code: str) -> bool:
    """Tell whether a normalised code has the right symbols, length and checksum; it need not exist."""
    if len(code) != CODE_SYMBOLS or any(symbol not in ALPHABET for symbol in code):
        return False
    return _value_of(code) % CHECK_PRIME == 0


def _check_symbols(payload: str) -> str:
    # The two symbols make the value of the whole code a multiple of the prime.
    missing = -(_value_of(payload) * BASE**CHECK_SYMBOLS) % CHECK_PRIME
    return ALPHABET[missing // BASE] + ALPHABET[missing % BASE]


def _value_of(symbols: str) -> int:
    value = 0
    for symbol in symbols:
        value = value * BASE + ALPHABET.index(symbol)
    return value
