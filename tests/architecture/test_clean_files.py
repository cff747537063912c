"""No file names a machine it was made on, a place packages come from, or a secret."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import project_files, shown

# Each pattern is written so that it does not match itself.
PATTERNS = {
    "path of a machine": re.compile(r"(?<![\w.~}])/(?:home|root|work|Users)/[\w.]"),
    "package registry": re.compile(r"[\w.]+\.pythonhosted[.]|\bpypi[.]org|registry\.npmjs[.]"),
    "private key": re.compile(r"-{5}BEGIN (?:RSA |EC )?PRIVATE KEY-{5}\s+[\w+/]{60}"),
    "conflict": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
}


def findings(text: str) -> list[str]:
    """Return the names of the patterns that a text contains."""
    return [name for name, pattern in PATTERNS.items() if pattern.search(text)]


def test_files_are_clean() -> None:
    found = {
        shown(path): findings(path.read_text(encoding="utf-8", errors="replace")) for path in project_files()
    }

    assert len(found) > 50
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("see /" + "home/ada/x", ["path of a machine"]),
        ("https://files.python" + "hosted.org/", ["package registry"]),
        ("-----BEGIN PRIVATE" + " KEY-----\n" + "A" * 64, ["private key"]),
        ("<<<<" + "<<< HEAD", ["conflict"]),
        ("GET /api/v1/stores/work/", []),
        ('"-----BEGIN PRIVATE KEY-----"', []),
    ],
)
def test_patterns_find_what_they_are_for(text: str, names: list[str]) -> None:
    assert findings(text) == names
