"""Keys of services that join the sandbox later stand beside those that were there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from sandbox.keys import ServiceKeys, open_key_ring

NOW = datetime(2026, 3, 14, 4, 0, tzinfo=UTC)


def test_service_that_joins_later_leaves_the_keys_of_the_others(tmp_path: Path) -> None:
    before = open_key_ring(tmp_path, NOW, {})
    merchant = json.loads((tmp_path / "credentials.json").read_text())
    joined = {"alipay": lambda _now: ServiceKeys(kept={"side": "platform"}, given={"side": "merchant"})}

    after = open_key_ring(tmp_path, NOW, joined)

    assert after.platform_private_key == before.platform_private_key
    assert after.services == {"alipay": {"side": "platform"}}
    assert json.loads((tmp_path / "credentials.json").read_text()) == merchant | {
        "alipay": {"side": "merchant"}
    }


def test_service_that_is_known_keeps_its_keys(tmp_path: Path) -> None:
    made: list[str] = []

    def make(_now: datetime) -> ServiceKeys:
        made.append(f"key {len(made)}")
        return ServiceKeys(kept={"key": made[-1]}, given={"key": made[-1]})

    rings = [open_key_ring(tmp_path, NOW, {"alipay": make}) for _ in range(2)]

    assert rings[0] == rings[1]
    assert made == ["key 0"]
