"""The development entry: what it refuses, and the whole product started and stopped by it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import run
from scripts.instance import InstanceError, free_port, prepare_folder, read_env_file
from scripts.processes import wait_until
from tests.architecture.sources import ROOT

# The promises are 10 s for a warm start and 20 s for a stop; starting shares its cores with other tests here.
START_SECONDS, STOP_SECONDS = 120, 20
SHOP_TABLES = ("stores", "ab_user")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of one start with a folder and ports of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    return kept | ports | {"INSTANCE_DIR": str(tmp_path / "instance")}


def start(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start run.py the way a background shell does: with SIGINT ignored."""
    with log.open("wb") as output:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            command = [sys.executable, str(ROOT / "run.py")]
            return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def running(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the product until the end of the block."""
    process = start(environment, log)
    try:
        assert wait_until(
            lambda: "is running" in log.read_text() or process.poll() is not None, START_SECONDS
        )
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()
        assert wait_until(lambda: members(environment) == [], STOP_SECONDS)


def members(environment: dict[str, str]) -> list[str]:
    """Return the command lines of all processes that work on this instance."""
    mark = f"INSTANCE_DIR={environment['INSTANCE_DIR']}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def stop(process: subprocess.Popen[bytes], number: int) -> float:
    """Send a signal and return the seconds until the process ended cleanly."""
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(STOP_SECONDS) == 0
    return time.monotonic() - begin


def shop(folder: Path) -> tuple[int, int, dict[str, str]]:
    """Return how many stores and staff a stopped product has, and its secrets."""
    with closing(sqlite3.connect(folder / "quefang.db")) as connection:
        stores, staff = (
            connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in SHOP_TABLES
        )
    return stores, staff, read_env_file(folder / "secrets.env")


@pytest.mark.e2e
@pytest.mark.xdist_group("product")
def test_product_starts_twice_and_stops_cleanly(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    folder = Path(environment["INSTANCE_DIR"])
    with running(environment, log) as process:
        assert run.answers_ok(f"http://127.0.0.1:{environment['PORT']}/readyz")
        assert "quefang-demo" in log.read_text()
        other = environment | {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
        refused = subprocess.run(
            [sys.executable, str(ROOT / "run.py")], env=other, capture_output=True, check=False
        )
        assert (refused.returncode, b"Already running" in refused.stderr) == (1, True)
        stop(process, signal.SIGINT)
        assert members(environment) == []
    before = shop(folder)
    assert before[0] == 3

    with running(environment, log) as process:
        stop(process, signal.SIGTERM)

    assert shop(folder) == before


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.xdist_group("product")
def test_nothing_is_left_when_the_supervisor_is_killed(environment: dict[str, str], tmp_path: Path) -> None:
    with running(environment, tmp_path / "run.log") as process:
        assert len(members(environment)) > 5
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert wait_until(lambda: members(environment) == [], STOP_SECONDS), members(environment)


def test_production_is_refused_and_its_entry_named(environment: dict[str, str]) -> None:
    production = environment | {"QUEFANG_MODE": "production"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py")], env=production, capture_output=True, check=False
    )

    assert done.returncode == 2
    assert b"gunicorn --config deploy/gunicorn.conf.py" in done.stderr
    assert not Path(environment["INSTANCE_DIR"]).exists()


def test_plan_registers_the_sandbox_unless_real_addresses_are_given(
    environment: dict[str, str], tmp_path: Path
) -> None:
    prepare_folder(tmp_path)
    simulated = run.make_plan(tmp_path, environment)
    real = run.make_plan(tmp_path, environment | {"WECHAT_API_URL": "https://wechat.example"})

    assert simulated.env["SANDBOX_URL"] == f"http://127.0.0.1:{environment['SANDBOX_PORT']}"
    assert (real.sandbox_port, "SANDBOX_URL" in real.env) == (None, False)


def test_plan_uses_the_servers_of_the_environment(environment: dict[str, str], tmp_path: Path) -> None:
    prepare_folder(tmp_path)
    given = {"REDIS_URL": "redis://10.0.0.1/3", "DATABASE_URL": "postgresql://10.0.0.2/quefang"}

    plan = run.make_plan(tmp_path, environment | given)

    assert plan.redis_command is None
    assert {name: plan.env[name] for name in given} == given
    assert "REDIS_URL" not in read_env_file(tmp_path / "runtime.env")


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1"])
def test_plan_refuses_what_is_no_port(environment: dict[str, str], tmp_path: Path, value: str) -> None:
    with pytest.raises(InstanceError, match="PORT must be a port number"):
        run.make_plan(tmp_path, environment | {"PORT": value})


def test_banner_without_demo_names_no_password(environment: dict[str, str], tmp_path: Path) -> None:
    prepare_folder(tmp_path)
    plan = run.make_plan(tmp_path, environment | {"DEMO_ACCOUNTS": "0"})

    assert run.DEMO_PASSWORD not in run.banner(plan)
    assert plan.web_url in run.banner(plan)
