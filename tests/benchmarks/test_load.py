"""The load client counts what it was asked to count, and nothing else as a success."""

from __future__ import annotations

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import pytest

from benchmarks.feeds import Once, Poll, Repeat
from benchmarks.load import BROKEN, drive, request

BODY = b"x" * 300_000


class Answering(socketserver.StreamRequestHandler):
    """Answers by the path: a body in two pieces, a refusal, half a body, 304 for a known tag."""

    seen: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line)
        self.seen.append(b"".join(lines))
        path = lines[0].split()[1]
        if any(line.lower().startswith(b"if-none-match") for line in lines):
            self.wfile.write(b"HTTP/1.1 304 NOT MODIFIED\r\n\r\n")
            return
        status = b"409 CONFLICT" if path == b"/refused" else b"200 OK"
        head = b'HTTP/1.1 %b\r\nETag: W/"7"\r\nContent-Length: %d\r\n\r\n' % (status, len(BODY))
        self.wfile.write(head)
        self.wfile.write(BODY[:100] if path == b"/broken" else BODY)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that answers as it is told."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def some(path: str, number: int) -> Iterator[bytes]:
    return iter([request("GET", path)] * number)


@pytest.mark.parametrize(
    ("path", "expected", "statuses", "successes"),
    [
        ("/", 200, {200: 6}, 6),
        ("/refused", 409, {409: 6}, 6),
        ("/refused", 200, {409: 6}, 0),
        ("/broken", 200, {BROKEN: 6}, 0),
    ],
)
def test_only_expected_answers_are_successes(
    port: int, path: str, expected: int, statuses: dict[int, int], successes: int
) -> None:
    feed = Once(some(path, 6), expected=frozenset({expected}))

    sample = drive(port, feed, clients=4, seconds=60)

    assert (sample.statuses, len(sample.latencies)) == (Counter(statuses), successes)


def test_operation_of_several_requests_counts_once_and_fails_as_a_whole(port: int) -> None:
    pages = [request("GET", "/"), request("GET", "/refused"), request("GET", "/")]

    sample = drive(port, Repeat(*pages), clients=1, seconds=0)

    assert (sample.statuses, sample.latencies) == (Counter({200: 2, 409: 1}), [])


def test_client_that_polls_sends_the_tag_it_was_given(port: int) -> None:
    feed = Poll("/week")
    full = drive(port, feed, clients=1, seconds=0)
    Answering.seen.clear()

    known = drive(port, feed, clients=1, seconds=0)

    assert (full.statuses, known.statuses) == (Counter({200: 1}), Counter({304: 1}))
    assert b'If-None-Match: W/"7"\r\n' in Answering.seen[0]
