"""Customers who race over HTTP, each in a process of its own that needs the standard library only."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

TIMEOUT_SECONDS = 60
PROCESSES = 8
# How often a request is sent again whose worker was killed.
TRIES = 60
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
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self._send("POST", path, json.dumps(body), headers)

    def get(self, path: str) -> Answer:
        return self._send("GET", path, None, {"Authorization": f"Bearer {self.token}"})

    def book(self, slot: Slot, *, key: str | None = None) -> Answer:
        """Try to book a slot."""
        body = {"room_id": slot.room_id, "start_at": slot.start_at, "end_at": slot.end_at}
        return self.post("/bookings", body, key=key)

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, f"/api/v1{path}", body, headers)
            response = connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError):
            return Answer(0, {}, time.perf_counter() - started)
        finally:
            connection.close()
        return Answer(response.status, _json(content), time.perf_counter() - started)


def _json(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError:
        return {"text": content[:200].decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"items": parsed}


_barrier: list[Barrier] = []


def _remember(barrier: Barrier) -> None:
    _barrier.append(barrier)


def wait_for_others() -> None:
    """Wait until every process of the race has come to this point."""
    _barrier[0].wait(TIMEOUT_SECONDS)


class Racers:
    """Eight processes that wait for work, started once because starting them takes longer than a race."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def race(self, work: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
        """Run *work* once for each tuple of arguments, each in a process of its own, all at the same time."""
        assert len(arguments) == PROCESSES
        runs = [self._pool.submit(work, *each) for each in arguments]
        return [run.result() for run in runs]


@contextmanager
def start_racers() -> Iterator[Racers]:
    """Start the processes; they end with the block."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(
        PROCESSES, mp_context=context, initializer=_remember, initargs=(barrier,)
    ) as pool:
        yield Racers(pool)


def book_all(buyer: Buyer, slots: Sequence[Slot]) -> list[Answer]:
    """Try every slot once, each at the same moment as everybody else."""
    answers = []
    for slot in slots:
        wait_for_others()
        answers.append(buyer.book(slot))
    return answers


def shop_around(buyer: Buyer, slots: Sequence[Slot], seed: int, count: int) -> list[tuple[str, Answer]]:
    """Book and cancel at random; what gets no answer is sent again until it does, bookings under a key."""
    dice = random.Random(seed)
    mine: list[str] = []
    answers: list[tuple[str, Answer]] = []
    for number in range(count):
        if mine and dice.random() < 0.4:
            no = mine.pop(dice.randrange(len(mine)))
            answers.append(("cancel", _insist(buyer, f"/orders/{no}/cancel", {})))
            continue
        slot = dice.choice(slots)
        body = {"room_id": slot.room_id, "start_at": slot.start_at, "end_at": slot.end_at}
        answer = _insist(buyer, "/bookings", body, key=f"{seed}-{number}")
        answers.append(("book", answer))
        if answer.status == 201:
            mine.append(str(answer.body["no"]))
    return answers


def _insist(buyer: Buyer, path: str, body: dict[str, str], *, key: str | None = None) -> Answer:
    """Send a request until something comes back; workers die under it."""
    answer = buyer.post(path, body, key=key)
    for _ in range(TRIES):
        if answer.status:
            break
        answer = buyer.post(path, body, key=key)
    return answer
