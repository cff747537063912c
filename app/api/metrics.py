"""GET /metrics in the text format of Prometheus, for this machine or for who knows the token.

Written by hand: a dozen numbers need no client library, and that library's way of adding up forked workers
is a folder of files that somebody would have to clean.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from ipaddress import ip_address

from flask import Blueprint, Response, current_app, request

from app.api.counters import RequestCounter
from app.domain.actor import ALL_STORES
from app.extensions import Application, use_scope
from app.services import metrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"

blueprint = Blueprint("metrics", __name__)


def register_metrics(app: Application) -> None:
    """Mount the address and count every answer of the application from now on."""
    counter = RequestCounter()
    app.extensions["request_counter"] = counter
    app.register_blueprint(blueprint)

    @app.after_request
    def count(answer: Response) -> Response:
        counter.count(answer.status_code)
        return answer

    app.count_answer = counter.count


@blueprint.get("/metrics")
def show_metrics() -> Response:
    """Return the figures; anybody else is told that there is nothing."""
    if not (_has_token() or _is_local()):
        return Response(status=404)
    with use_scope(ALL_STORES):
        text = "".join(f"{line}\n" for line in _lines())
    return Response(text, content_type=TEXT, headers={"Cache-Control": "no-store"})


def _has_token() -> bool:
    expected = current_app.config.get("METRICS_TOKEN")
    given = request.headers.get("Authorization", "")
    return bool(expected) and hmac.compare_digest(given.encode(), f"Bearer {expected}".encode())


def _is_local() -> bool:
    """A proxy on this machine speaks for others; what it forwards is not local."""
    if request.headers.get("X-Forwarded-For") or request.headers.get("Forwarded"):
        return False
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _lines() -> Iterator[str]:
    counter: RequestCounter = current_app.extensions["request_counter"]
    yield from _family("quefang_http_answers_total", "counter", "Answers.", "class", counter.totals())
    yield from _family("quefang_orders", "gauge", "Living orders.", "status", metrics.count_live_orders())
    yield from _family("quefang_waiting", "gauge", "Work for outside.", "kind", metrics.count_waiting())


def _family(name: str, kind: str, text: str, label: str, values: dict[str, int]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for key, value in values.items():
        yield f'{name}{{{label}="{key}"}} {value}'
