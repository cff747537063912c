"""Locked requirements: every version exact, every build hashed, no address of any place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==[^\s\\;]+(?: ; [^\\]+)?(?: \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def entries(path: Path) -> dict[str, int]:
    """Return how many hashes each requirement has; any other kind of line fails."""
    found: dict[str, int] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.lstrip().startswith("#"):
            continue
        if pin := PIN.match(line):
            name = pin["name"]
            found[name] = 0
        else:
            assert HASH.match(line), f"{path.name}: {line}"
            found[name] += 1
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    locked = entries(ROOT / name)

    assert len(locked) > 20
    assert [requirement for requirement, hashes in locked.items() if hashes == 0] == []


@pytest.mark.parametrize("name", LOCKS)
def test_no_address_and_no_path_of_a_machine_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert re.findall(r"https?:|file://|--find-links|index-url|trusted-host|(?<![\w.])/\w+/", text) == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_what_is_asked_for(name: str) -> None:
    wanted = {
        re.split(r"[\[<>=~ ;#]", line)[0].lower()
        for line in (ROOT / name).with_suffix(".in").read_text(encoding="utf-8").splitlines()
        if line and line[0].isalpha()
    }

    assert wanted - set(entries(ROOT / name)) == set()


def test_tools_agree_with_the_product_on_versions() -> None:
    pins = [set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(), re.MULTILINE)) for name in LOCKS]
    names = [{pin.partition("==")[0] for pin in of_one} for of_one in pins]

    shared = names[0] & names[1]
    assert {pin for pin in pins[0] ^ pins[1] if pin.partition("==")[0] in shared} == set()
