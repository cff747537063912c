"""Servers that the gateways are tried against: a programmable loopback, Redis and the sandbox process."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from app.gateways import (
    AlipayCredentials,
    DoorCredentials,
    MiniProgramCredentials,
    WeChatPayCredentials,
)
from app.gateways.alipay import AlipayGateway
from app.gateways.ttlock import TTLockRoomControl
from app.gateways.wechat import WeChatMiniProgram
from app.gateways.wechat_pay import WeChatPayChannel
from scripts.instance import free_port
from scripts.processes import Process, tail, wait_until
from tests.gateways.loopback import Loopback
from tests.gateways.mini_program_platform import let_succeed, make
from tests.servers import RedisServer, redis_server

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0
TIMEOUT_SECONDS = 5.0


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture
def platform(loopback: Loopback) -> Loopback:
    """The loopback as a mini-program platform on which everything succeeds."""
    let_succeed(loopback)
    return loopback


@pytest.fixture
def program(platform: Loopback) -> WeChatMiniProgram:
    """The mini-program gateway that speaks with the loopback."""
    return make(platform.url)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody else takes it, and never listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may stop and pause without harm to others."""
    with redis_server() as server:
        yield server


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection or look-up of a name that this process tries, each of them refused."""
    tried: list[Any] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        tried.append(args)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@dataclass(frozen=True)
class Sandbox:
    """The running sandbox and the credentials that it wrote."""

    url: str
    credentials: dict[str, dict[str, str]]

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = requests.post(f"{self.url}/_control{path}", json=body or {}, timeout=10)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def program(self, timeout_seconds: float = TIMEOUT_SECONDS) -> WeChatMiniProgram:
        """Return the mini-program gateway that speaks with this sandbox."""
        return WeChatMiniProgram(
            MiniProgramCredentials(**self.credentials["wechat"]),
            base_url=self.url,
            timeout_seconds=timeout_seconds,
            is_production=False,
        )

    def channel(self, timeout_seconds: float = TIMEOUT_SECONDS, **changes: str) -> WeChatPayChannel:
        """Return the WeChat Pay gateway that speaks with this sandbox, some credentials changed."""
        credentials = WeChatPayCredentials(**self.credentials["wechat_pay"] | changes)
        return WeChatPayChannel(credentials, base_url=self.url, timeout_seconds=timeout_seconds)

    def alipay(self, timeout_seconds: float = TIMEOUT_SECONDS, **changes: str) -> AlipayGateway:
        """Return the Alipay gateway that speaks with this sandbox, some credentials changed."""
        credentials = AlipayCredentials(**self.credentials["alipay"] | changes)
        return AlipayGateway(
            credentials, gateway_url=f"{self.url}/gateway.do", timeout_seconds=timeout_seconds
        )

    def shown(self, kind: str, number: str) -> Any:
        """Return what the sandbox knows of one of Alipay's payments or refunds."""
        return requests.get(f"{self.url}/_control/{kind}/alipay/{number}", timeout=10).json()

    def doors(self, timeout_seconds: float = TIMEOUT_SECONDS, **changes: str) -> TTLockRoomControl:
        """Return the control of doors that speaks with this sandbox, some credentials changed."""
        credentials = DoorCredentials(**self.credentials["ttlock"] | changes)
        return TTLockRoomControl(credentials, base_url=self.url, timeout_seconds=timeout_seconds)

    def doors_now(self) -> Any:
        """The codes that the locks know."""
        return requests.get(f"{self.url}/_control/doors", timeout=10).json()["items"]

    def outbox(self) -> Any:
        return requests.get(f"{self.url}/_control/outbox", timeout=10).json()

    def reset(self) -> None:
        assert requests.delete(f"{self.url}/_control/state", timeout=10).ok


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder, port = tmp_path_factory.mktemp("sandbox"), free_port()
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--data-dir", str(folder)]
    process = Process("sandbox", command, env=os.environ, log=folder / "sandbox.log")
    process.cwd = ROOT
    process.start()
    try:
        keys = folder / "credentials.json"
        wait_until(
            lambda: not process.is_running() or (keys.exists() and _listens(port)),
            START_SECONDS,
        )
        assert process.is_running() and _listens(port), f"no sandbox:\n{tail(process.log)}"
        yield Sandbox(f"http://127.0.0.1:{port}", json.loads(keys.read_text()))
    finally:
        process.stop(STOP_SECONDS)


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Iterator[Sandbox]:
    """The sandbox with nothing in it; refunds are settled by nobody but the test."""
    sandbox_process.reset()
    settings = {"refund_delay_seconds": -1, "notify_scale": 0.1, "wechat_pay_key_mode": "public_key"}
    sandbox_process.control("/settings", settings)
    yield sandbox_process


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
