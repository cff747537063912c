"""GET /healthz and GET /readyz, at the root: alive, and able to work."""

from __future__ import annotations

from flask import Blueprint, Response

from app.api.answers import json_answer
from app.domain.clock import utc_now
from app.services.health import check_readiness

RETRY_SECONDS = 3

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def show_health() -> Response:
    """Say that the process answers; nothing else is asked."""
    return _uncached(json_answer({"status": "alive"}))


@blueprint.get("/readyz")
def show_readiness() -> Response:
    """Say whether database, migrations, Redis and a worker are there; 503 while one is not."""
    parts = check_readiness(now=utc_now())
    is_ready = parts["status"] == "ready"
    answer = _uncached(json_answer(parts, 200 if is_ready else 503))
    if not is_ready:
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


def _uncached(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer
