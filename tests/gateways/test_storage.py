"""Files on the local disk: whole or not at all, and never outside their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.gateways.ports import GatewayUnavailable, MediaNotFound
from app.gateways.storage import LocalMediaStorage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def storage(root: Path) -> LocalMediaStorage:
    return LocalMediaStorage(root)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_saved_read_replaced_and_deleted(storage: LocalMediaStorage, root: Path) -> None:
    storage.save("rooms/12/cover.jpg", b"one")
    assert storage.read("rooms/12/cover.jpg") == b"one"
    storage.save("rooms/12/cover.jpg", b"two")
    assert storage.read("rooms/12/cover.jpg") == b"two"
    assert files(root) == ["rooms/12/cover.jpg"]

    storage.delete("rooms/12/cover.jpg")
    storage.delete("rooms/12/cover.jpg")

    assert files(root) == []
    with pytest.raises(MediaNotFound):
        storage.read("rooms/12/cover.jpg")


def test_a_file_has_an_address_on_this_site_and_may_be_read_by_the_web_server(
    storage: LocalMediaStorage, root: Path
) -> None:
    storage.save("rooms/a.jpg", b"x")

    assert storage.url("rooms/a.jpg") == "/media/rooms/a.jpg"
    assert (root / "rooms/a.jpg").stat().st_mode & 0o777 == 0o644


BAD_KEYS = [
    ("empty", ""),
    ("parent", ".."),
    ("parent inside", "rooms/../../secret"),
    ("absolute", "/etc/passwd"),
    ("doubled slash", "rooms//a.jpg"),
    ("slash at the end", "rooms/"),
    ("hidden", ".upload-abc"),
    ("hidden inside", "rooms/.upload-abc"),
    ("backslash", "rooms\\a.jpg"),
    ("zero byte", "rooms/a\x00.jpg"),
    ("line end", "rooms/a.jpg\n"),
    ("capital letter", "rooms/A.jpg"),
    ("Chinese", "rooms/牡丹.jpg"),
    ("percent", "rooms/%2e%2e"),
    ("too long", "a" * 201),
]


@pytest.mark.parametrize("key", [key for _, key in BAD_KEYS], ids=[label for label, _ in BAD_KEYS])
def test_a_key_that_is_not_well_formed_names_nothing(
    storage: LocalMediaStorage, root: Path, tmp_path: Path, key: str
) -> None:
    storage.save("rooms/a.jpg", b"kept")
    (tmp_path / "secret").write_bytes(b"secret")

    for use in (storage.read, storage.url, lambda bad: storage.save(bad, b"x")):
        with pytest.raises(MediaNotFound):
            use(key)
    storage.delete(key)

    assert files(tmp_path) == ["media/rooms/a.jpg", "secret"]


@pytest.mark.parametrize("key", ["rooms", "rooms/a.jpg/b.jpg", "cars/a.jpg"])
def test_a_folder_or_a_path_through_a_file_is_not_found(
    storage: LocalMediaStorage, root: Path, key: str
) -> None:
    storage.save("rooms/a.jpg", b"kept")

    with pytest.raises(MediaNotFound):
        storage.read(key)
    storage.delete(key)

    assert files(root) == ["rooms/a.jpg"]


def test_a_full_disk_leaves_the_old_file_and_no_rest(
    storage: LocalMediaStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.save("rooms/a.jpg", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(GatewayUnavailable) as failed:
        storage.save("rooms/a.jpg", b"new")

    assert not failed.value.outcome_unknown
    assert storage.read("rooms/a.jpg") == b"old"
    assert files(root) == ["rooms/a.jpg"]
