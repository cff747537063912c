"""A load client that drives many connections from one process and leaves the cores to the servers."""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

BUFFER_BYTES = 1024 * 1024
PATIENCE_SECONDS = 60.0
# Stands for an answer that never came.
BROKEN = 0


@dataclass(frozen=True)
class Sample:
    """One round of one contender.

    `latencies` are the seconds of every operation that was answered as expected, `statuses` counts every
    answer, `client_share` is the part of one core that the client took for itself.
    """

    seconds: float
    latencies: list[float]
    statuses: Counter[int]
    client_share: float = 0.0

    @property
    def rate(self) -> float:
        """Operations per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the milliseconds that `share` (0 to 1) of the operations do not exceed; 0 without any."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


class Feed(Protocol):
    """What clients ask for, one operation after the other."""

    expected: frozenset[int]

    def take(self) -> Sequence[bytes] | None:
        """Return the requests of the next operation, sent one after the other; None when there is no more."""

    def note(self, status: int, head: bytes) -> None:
        """Learn from the head of an answer."""


@dataclass(slots=True)
class _Exchange:
    requests: Sequence[bytes]
    started: float
    position: int = 0
    is_expected: bool = True
    head: bytes = b""
    missing: int | None = None
    sock: socket.socket = field(init=False)


class _Driver:
    def __init__(self, port: int, feed: Feed) -> None:
        self._address = ("127.0.0.1", port)
        self._feed = feed
        self._poll = select.epoll()
        self._open: dict[int, _Exchange] = {}
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._latencies: list[float] = []
        self._statuses: Counter[int] = Counter()

    def run(self, clients: int, seconds: float) -> Sample:
        cpu, begun = time.process_time(), time.perf_counter()
        for _ in range(clients):
            self._begin()
        while self._open:
            ready = self._poll.poll(PATIENCE_SECONDS)
            if not ready:
                raise TimeoutError(f"no answer for {PATIENCE_SECONDS:g} s")
            for descriptor, _ in ready:
                if self._receive(descriptor) and time.perf_counter() - begun < seconds:
                    self._begin()
        self._poll.close()
        passed = time.perf_counter() - begun
        return Sample(passed, self._latencies, self._statuses, (time.process_time() - cpu) / passed)

    def _begin(self) -> None:
        requests = self._feed.take()
        if requests is not None:
            self._send(_Exchange(requests, time.perf_counter()))

    def _send(self, exchange: _Exchange) -> None:
        # One connection for each request, as the sync workers of the web server close it anyway.
        exchange.sock = socket.create_connection(self._address, PATIENCE_SECONDS)
        exchange.sock.sendall(exchange.requests[exchange.position])
        exchange.sock.setblocking(False)
        exchange.head, exchange.missing = b"", None
        self._open[exchange.sock.fileno()] = exchange
        self._poll.register(exchange.sock.fileno(), select.EPOLLIN)

    def _receive(self, descriptor: int) -> bool:
        """Read what is there; tell whether the whole operation is over."""
        exchange = self._open[descriptor]
        try:
            size = exchange.sock.recv_into(self._buffer)
        except ConnectionError:
            size = 0
        if exchange.missing is None:
            exchange.head += bytes(self._buffer[:size])
            _read_head(exchange)
        else:
            exchange.missing -= size
        if size and (exchange.missing is None or exchange.missing > 0):
            return False
        return self._finish(descriptor, exchange)

    def _finish(self, descriptor: int, exchange: _Exchange) -> bool:
        is_whole = exchange.missing is not None and exchange.missing <= 0
        status = int(exchange.head[9:12]) if is_whole else BROKEN
        self._poll.unregister(descriptor)
        exchange.sock.close()
        del self._open[descriptor]
        self._statuses[status] += 1
        self._feed.note(status, exchange.head)
        exchange.is_expected &= status in self._feed.expected
        exchange.position += 1
        if exchange.position < len(exchange.requests):
            self._send(exchange)
            return False
        if exchange.is_expected:
            self._latencies.append(time.perf_counter() - exchange.started)
        return True


def _read_head(exchange: _Exchange) -> None:
    """Find out how much of the body is still to come, once the whole head is there."""
    end = exchange.head.find(b"\r\n\r\n")
    if end < 0:
        return
    seen = len(exchange.head) - end - 4
    exchange.head = exchange.head[:end]
    exchange.missing = int(header(exchange.head, b"content-length") or 0) - seen


def header(head: bytes, name: bytes) -> bytes | None:
    """Return the value of a header (lower-case name), or None."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


def drive(port: int, feed: Feed, *, clients: int, seconds: float) -> Sample:
    """Let so many clients work for so long; operations that were begun are finished and counted."""
    return _Driver(port, feed).run(clients, seconds)


def request(
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: bytes = b"",
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return the bytes of a request as the proxy in front of the workers would pass it on."""
    fields = [("Host", "127.0.0.1"), ("Connection", "close"), ("Accept-Language", "zh-CN")]
    fields += [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "127.0.0.1")]
    if token is not None:
        fields.append(("Authorization", f"Bearer {token}"))
    if method == "POST":
        fields += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (*fields, *headers))]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
