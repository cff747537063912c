"""The product under a profiler, one worker: where a request's time goes, by function and by statement."""

from __future__ import annotations

import cProfile
import io
import pstats
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from sqlalchemy import Engine, event

from app import create_app as create_product

# Asked for this address, the worker tells what it has seen and forgets it.
ADDRESS = "/_profile"
SHOWN = 45
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Statements:
    """How often each statement ran and how long that took."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        event.listen(Engine, "before_cursor_execute", self._before)
        event.listen(Engine, "after_cursor_execute", self._after)

    def _before(self, connection: Any, *rest: Any) -> None:
        connection.info["bench_started"] = time.perf_counter()

    def _after(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.seconds[statement].append(time.perf_counter() - connection.info["bench_started"])

    def report(self, requests: int) -> str:
        """Return a line for each statement: times a request, ms each time, its beginning and end."""
        lines = ["", "statements: per request, ms each, text"]
        for statement, seconds in sorted(self.seconds.items(), key=lambda item: -sum(item[1])):
            text = " ".join(statement.split())
            short = text if len(text) < 160 else f"{text[:60]} … {text[-90:]}"
            mean = sum(seconds) / len(seconds) * 1000
            lines.append(f"{len(seconds) / requests:8.2f} {mean:8.3f}  {short}")
        return "\n".join(lines)


class Profiler:
    """Runs each request under the profiler."""

    def __init__(self, application: Wsgi) -> None:
        self._application = application
        self._statements = Statements()
        self._forget()

    def _forget(self) -> None:
        self._profile, self._requests = cProfile.Profile(), 0
        self._statements.seconds.clear()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or tell what was seen."""
        if environ["PATH_INFO"] == ADDRESS:
            report = self._report().encode()
            self._forget()
            start_response("200 OK", [("Content-Length", str(len(report)))])
            return [report]
        self._requests += 1
        return self._profile.runcall(self._run, environ, start_response)

    def _run(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return list(self._application(environ, start_response))

    def _report(self) -> str:
        if not self._requests:
            return "no request yet"
        text = io.StringIO()
        figures = pstats.Stats(self._profile, stream=text)
        total = figures.total_tt / self._requests * 1000  # type: ignore[attr-defined]
        text.write(f"{self._requests} requests, {total:.2f} ms each under the profiler\n")
        figures.sort_stats("cumulative").print_stats(SHOWN * 2)
        figures.sort_stats("tottime").print_stats(SHOWN)
        return text.getvalue() + self._statements.report(self._requests)


def create_app() -> Flask:
    """Return the product with the profiler around it."""
    app = create_product()
    app.wsgi_app = Profiler(app.wsgi_app)  # type: ignore[method-assign]
    return app
