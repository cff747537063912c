"""The instance folder: for its owner alone, taken by one start at a time, with secrets that stay."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from config import DevelopmentSettings
from scripts.instance import (
    SECRET_NAMES,
    InstanceError,
    development_secrets,
    embedded_redis,
    free_port,
    lock_folder,
    prepare_folder,
    read_env_file,
    require_free_port,
    write_env_file,
)


def mode_of(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    prepare_folder(folder)

    assert mode_of(folder) == 0o700


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instance").write_text("")

    with pytest.raises(InstanceError, match="INSTANCE_DIR"):
        prepare_folder(tmp_path / "instance")


def test_second_start_on_one_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first = lock_folder(tmp_path)
    with pytest.raises(InstanceError, match=r"Already running on .* \(process \d+\)"):
        lock_folder(tmp_path)
    with pytest.raises(InstanceError, match=r"\(process \d+\)"):
        lock_folder(tmp_path)

    first.close()

    lock_folder(tmp_path).close()


def test_secrets_are_made_once_long_different_and_private(tmp_path: Path) -> None:
    made = development_secrets(tmp_path, {})

    assert development_secrets(tmp_path, {}) == made
    assert len(set(made.values())) == len(SECRET_NAMES)
    assert min(len(value) for value in made.values()) >= 32
    assert mode_of(tmp_path / "secrets.env") == 0o600


def test_secret_of_the_environment_wins_and_is_not_written(tmp_path: Path) -> None:
    made = development_secrets(tmp_path, {"SECRET_KEY": "given"})

    assert made.get("SECRET_KEY", "given") == "given"
    assert "given" not in (tmp_path / "secrets.env").read_text()
    assert set(made) >= {"HASH_KEY", "ENCRYPTION_KEYS"}


def test_secret_that_is_missing_later_is_added(tmp_path: Path) -> None:
    development_secrets(tmp_path, {"SECRET_KEY": "given"})
    kept = read_env_file(tmp_path / "secrets.env")

    made = development_secrets(tmp_path, {})

    assert made == kept | {"SECRET_KEY": made["SECRET_KEY"]}
    assert len(made["SECRET_KEY"]) >= 32


def test_settings_find_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRET_NAMES, "SANDBOX_URL", "WECHAT_API_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://from-environment/0")
    made = development_secrets(tmp_path, {})
    write_env_file(
        tmp_path / "runtime.env", {"SANDBOX_URL": "http://sandbox", "REDIS_URL": "redis://from-file"}
    )

    settings = DevelopmentSettings()

    assert (settings.SECRET_KEY, settings.HASH_KEY) == (made["SECRET_KEY"], made["HASH_KEY"])
    assert settings.ENCRYPTION_KEYS == [made["ENCRYPTION_KEYS"]]
    assert settings.WECHAT_API_URL == "http://sandbox"
    assert settings.REDIS_URL == "redis://from-environment/0"


def test_port_in_use_names_the_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InstanceError, match=rf"Port {port} cannot be used .* SANDBOX_PORT=\d+ make run"):
            require_free_port(port, "SANDBOX_PORT")


def test_free_port_can_be_used() -> None:
    require_free_port(free_port(), "PORT")


def test_redis_listens_in_the_folder(tmp_path: Path) -> None:
    command, url = embedded_redis(Path("/short"), None)

    assert url == "unix:///short/redis.sock"
    assert command[command.index("--port") + 1] == "0"


def test_redis_takes_a_port_with_a_password_where_the_path_is_too_long(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20)
    prepare_folder(folder)

    command, url = embedded_redis(folder, None)

    password = url.removeprefix("redis://:").partition("@")[0]
    assert len(password) >= 32
    assert password not in " ".join(command)
    assert mode_of(folder / "redis" / "redis.conf") == 0o600
    assert embedded_redis(folder, url) == (command, url)
