"""Customers who race over HTTP, each in a process of its own that needs the standard library only."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar
from urllib.parse import urlencode

TIMEOUT_SECONDS = 60
PROCESSES = 8
# How often a request is sent again whose worker was killed, and how soon.
TRIES, PAUSE_SECONDS = 60, 0.05
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slot:
    """One place that can be sold once: a room from a start to an end (RFC 3339)."""

    room_id: str
    start_at: str
    end_at: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 means that the connection broke."""

    status: int
    body: dict[str, Any]
    seconds: float

    @property
    def code(self) -> str:
        """The code of a refusal, or an empty text."""
        return str(self.body.get("code", ""))


@dataclass(frozen=True, slots=True)
class Buyer:
    """A logged-in customer."""

    port: int
    token: str

    def post(self, path: str, body: dict[str, Any], *, key: str | None = None) -> Answer:
        """Send one request on a connection of its own."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return send(self.port, "POST", f"/api/v1{path}", body, headers | self._login())

    def insist(self, path: str, body: dict[str, Any], *, key: str | None = None) -> Answer:
        """Send a request until something comes back; workers die under it.

        Whoever was cut off may be asked for patience, until the claim of the dead worker lapses.
        """
        answer = self.post(path, body, key=key)
        was_cut = answer.status == 0
        for _ in range(TRIES):
            if answer.status not in ((0, 503) if was_cut else (0,)):
                break
            time.sleep(PAUSE_SECONDS)
            answer = self.post(path, body, key=key)
            was_cut = was_cut or answer.status == 0
        return answer

    def get(self, path: str) -> Answer:
        return send(self.port, "GET", f"/api/v1{path}", None, self._login())

    def book(self, slot: Slot, *, key: str | None = None) -> Answer:
        """Try to book a slot."""
        body = {"room_id": slot.room_id, "start_at": slot.start_at, "end_at": slot.end_at}
        return self.post("/bookings", body, key=key)

    def _login(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Clerk:
    """A logged-in member of staff."""

    port: int
    cookie: str
    csrf_token: str

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Send one request; it is not repeated when its worker dies, as nobody at a counter knows then."""
        headers = {"Cookie": self.cookie, "X-CSRFToken": self.csrf_token, "Accept": "application/json"}
        return send(self.port, "POST", path, body, headers)


def send(
    port: int, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str] | None = None
) -> Answer:
    """Send one request to this machine on a connection of its own."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    content = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, content, {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        answered = response.read()
    except (http.client.HTTPException, OSError):
        return Answer(0, {}, time.perf_counter() - started)
    finally:
        connection.close()
    return Answer(response.status, _json(answered), time.perf_counter() - started)


def log_in(port: int, username: str, password: str) -> Clerk:
    """Log a member of staff in as a browser does, up to the first form behind the login."""
    cookie, token = _open_form(port, "/login/", "")
    form = urlencode({"username": username, "password": password, "csrf_token": token})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    cookie, _ = _browse(port, "POST", "/login/", cookie, form, headers)
    return Clerk(port, *_open_form(port, "/walk-ins/", cookie))


def _open_form(port: int, path: str, cookie: str) -> tuple[str, str]:
    cookie, page = _browse(port, "GET", path, cookie)
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
    assert token is not None, page
    return cookie, token[1]


def _browse(
    port: int, method: str, path: str, cookie: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[str, str]:
    """Return the cookie as it is now, and the page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    connection.request(method, path, body, {"Cookie": cookie} | (headers or {}))
    response = connection.getresponse()
    page = response.read().decode()
    connection.close()
    return (response.getheader("Set-Cookie") or cookie).partition(";")[0], page


def _json(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError:
        return {"text": content[:200].decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"items": parsed}


# What the processes of a race share: where they wait for each other, and how many attempts they made.
_shared: list[tuple[Barrier, Any]] = []


def _remember(barrier: Barrier, attempts: Any) -> None:
    _shared.append((barrier, attempts))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave nobody behind when the test run is ended by force."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def wait_for_others() -> None:
    """Wait until every process of the race has come to this point."""
    _shared[0][0].wait(TIMEOUT_SECONDS)


def count_attempt() -> None:
    """Count one more attempt of all the processes."""
    attempts = _shared[0][1]
    with attempts.get_lock():
        attempts.value += 1


class Racers:
    """Eight processes that wait for work, started once because starting them takes longer than a race."""

    def __init__(self, pool: ProcessPoolExecutor, attempts: Any) -> None:
        self._pool, self._attempts = pool, attempts

    @property
    def attempts(self) -> int:
        """How many attempts all processes have made so far."""
        return int(self._attempts.value)

    def race(self, work: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
        """Run *work* once for each tuple of arguments, each in a process of its own, all at the same time."""
        assert len(arguments) == PROCESSES
        runs = [self._pool.submit(work, *each) for each in arguments]
        return [run.result() for run in runs]


@contextmanager
def start_racers() -> Iterator[Racers]:
    """Start the processes; they end with the block."""
    context = multiprocessing.get_context("spawn")
    shared = context.Barrier(PROCESSES), context.Value("Q")
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_remember, initargs=shared) as pool:
        yield Racers(pool, shared[1])


def book_all(buyer: Buyer, slots: Sequence[Slot], name: str) -> list[Answer]:
    """Try every slot once, each at the same moment as everybody else, until an answer comes."""
    answers = []
    for number, slot in enumerate(slots):
        wait_for_others()
        body = {"room_id": slot.room_id, "start_at": slot.start_at, "end_at": slot.end_at}
        answers.append(buyer.insist("/bookings", body, key=f"{name}-{number}"))
        count_attempt()
    return answers
