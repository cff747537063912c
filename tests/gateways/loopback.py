"""A real HTTP server on the loopback that answers as a test tells it and remembers what it was sent."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

WAIT_SECONDS = 10


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to send back; `hangs` keeps the connection open without a word, `drops` cuts it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    drops: bool = False


def json_answer(content: Any, status: int = 200) -> Answer:
    """An answer as WeChat sends it."""
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


Responder = Callable[[Received], Answer]


class Loopback:
    """Answers by path; a list of answers is used up from the front, its last one stays."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.arrivals: queue.Queue[Received] = queue.Queue()
        self.answers: dict[str, list[Answer]] = {}
        self.finish: Callable[[Answer], Answer] = lambda answer: answer
        self.has_run_out_of_patience = False
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def next_arrival(self) -> Received:
        """Wait for the next request and return it."""
        return self.arrivals.get(timeout=WAIT_SECONDS)

    def respond(self, request: Received) -> Answer:
        self.requests.append(request)
        self.arrivals.put(request)
        answers = self.answers.get(request.path, [Answer(404, b"{}")])
        return self.finish(answers.pop(0) if len(answers) > 1 else answers[0])

    def hang(self) -> None:
        """Keep silent until the test is over; a client without a time-out would have to wait for us."""
        if not self._released.wait(WAIT_SECONDS):
            self.has_run_out_of_patience = True

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_SECONDS)


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            received = Received(self.command, self.path, list(self.headers.items()), body)
            answer = loopback.respond(received)
            if answer.hangs:
                loopback.hang()
            if answer.hangs or answer.drops:
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
