"""Faults that tests arm: what goes wrong, for which service, and how many times."""

from __future__ import annotations

import functools
import math
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from flask import Response, request

from sandbox.fields import Fields
from sandbox.state import Record, Store

REQUEST_MODES = ("latency", "error", "timeout_after_commit", "no_answer")
CALLBACK_MODES = ("drop_callback", "duplicate_callback", "reorder")
MODES = REQUEST_MODES + CALLBACK_MODES
DEFAULT_SECONDS = {"latency": 2.0, "timeout_after_commit": 30.0, "no_answer": 30.0, "reorder": 5.0}
ABANDON = "sandbox.abandon_after_seconds"

View = Callable[..., Response]
Busy = Callable[["Fault"], Response]


@dataclass
class Fault:
    """One armed fault.

    operation: only calls of this name are affected (prepay, query, close, refund, …); None means every call.
    seconds: latency to add, time to hold the connection, or time to hold a callback.
    after_commit: latency and error happen after the work was done instead of before.
    status: HTTP status that an error of wechat_pay answers.
    armed_at: when, in seconds of the machine's clock; requests that came before it are spared.
    """

    id: int
    target: str
    mode: str
    count: int
    operation: str | None
    seconds: float
    after_commit: bool
    status: int
    armed_at: float = 0.0

    @property
    def is_late(self) -> bool:
        """Tell whether the fault strikes after the work is done."""
        return self.after_commit or self.mode == "timeout_after_commit"


@dataclass(frozen=True)
class Targets:
    """What may be armed: every service's operations, and which services send callbacks."""

    operations: dict[str, frozenset[str]]
    with_callbacks: frozenset[str]


class Faults:
    """Armed faults, oldest first; a fault disappears when its count is used up."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def arm(self, fields: Fields, targets: Targets) -> Fault:
        """Check and store a fault; raise FieldError for an unknown target, mode or operation."""
        target = fields.choice("target", targets.operations)
        mode = fields.choice("mode", MODES)
        if mode in CALLBACK_MODES and target not in targets.with_callbacks:
            fields.fail("mode", f"{target} 不发送回调")
        operation = None
        if fields.has("operation"):
            operation = fields.choice("operation", targets.operations[target])
        with self._store.transaction():
            fault = Fault(
                id=self._next_id(),
                target=target,
                mode=mode,
                count=fields.integer("count", 1, 10_000, 1),
                operation=operation,
                seconds=fields.number("seconds", 0, 600, DEFAULT_SECONDS.get(mode, 0.0)),
                after_commit=fields.flag("after_commit"),
                status=fields.integer("status", 400, 599, 500),
                armed_at=time.time(),
            )
            self._store.put("fault", str(fault.id), asdict(fault))
        return fault

    def armed(self) -> list[Record]:
        """Return the faults that are still to happen."""
        return self._store.all("fault")

    def disarm(self) -> None:
        """Forget all faults."""
        self._store.delete_kind("fault")

    def take_request(self, target: str, operation: str, is_late: bool, came_at: float) -> Fault | None:
        """Use up one count of the first fault for this call before (or after) its work.

        A request that its client gave up long ago must not take what was armed for a later one.
        """
        return self._take(target, operation, REQUEST_MODES, is_late, came_at)

    def take_callback(self, target: str, operation: str) -> Fault | None:
        """Use up the first callback fault: one count, or all copies of a duplicate."""
        return self._take(target, operation, CALLBACK_MODES, None, math.inf)

    def wrap(self, target: str, operation: str, view: View, busy: Busy) -> View:
        """Return *view* with this target's faults around it; *busy* makes the service's own error answer."""

        @functools.wraps(view)
        def guarded(**arguments: str) -> Response:
            came_at = time.time()
            early = self.take_request(target, operation, False, came_at)
            if early is not None and (answer := _strike(early, busy)) is not None:
                return answer
            response = view(**arguments)
            late = self.take_request(target, operation, True, came_at)
            struck = _strike(late, busy) if late is not None else None
            return struck or response

        return guarded

    def _next_id(self) -> int:
        counter = self._store.get("counter", "fault") or {"value": 0}
        self._store.put("counter", "fault", {"value": counter["value"] + 1})
        return int(counter["value"]) + 1

    def _take(
        self, target: str, operation: str, modes: Iterable[str], is_late: bool | None, came_at: float
    ) -> Fault | None:
        with self._store.transaction():
            for record in self._store.all("fault"):
                fault = Fault(**record)
                if fault.target != target or fault.mode not in modes or fault.armed_at > came_at:
                    continue
                if fault.operation not in (None, operation) or is_late not in (None, fault.is_late):
                    continue
                self._use(fault)
                return fault
        return None

    def _use(self, fault: Fault) -> None:
        left = 0 if fault.mode == "duplicate_callback" else fault.count - 1
        if left:
            self._store.put("fault", str(fault.id), asdict(fault) | {"count": left})
        else:
            self._store.delete("fault", str(fault.id))


def _strike(fault: Fault, busy: Busy) -> Response | None:
    """Do what the fault says; return the answer that replaces the real one, if any."""
    if fault.mode == "latency":
        time.sleep(fault.seconds)
        return None
    if fault.mode == "timeout_after_commit":
        request.environ[ABANDON] = fault.seconds
        return None
    if fault.mode == "no_answer":
        request.environ[ABANDON] = fault.seconds
        return Response(status=503)  # Nobody will see it, and the work is not done.
    return busy(fault)


class Abandoning:
    """WSGI wrapper that keeps an answer back until the client gives up, then closes without a word."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer normally unless a fault marked this request."""
        answer = self._app(environ, start_response)
        if ABANDON not in environ:
            return answer
        connection: socket.socket = environ["werkzeug.socket"]
        _wait_for_hang_up(connection, environ[ABANDON])
        raise ConnectionAbortedError("the answer is withheld by a fault")


def _wait_for_hang_up(connection: socket.socket, seconds: float) -> None:
    """Wait until the other side closes, *seconds* at most, and close this side."""
    readable, _, _ = select.select([connection], [], [], seconds)
    if readable and connection.recv(1, socket.MSG_PEEK):
        time.sleep(seconds)
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # The client was faster.
