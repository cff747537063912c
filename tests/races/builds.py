"""The application as races run it: by a fast clock, and for controls without its protection."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

from flask import Flask

from app import create_app as create_real_app
from app.domain import clock
from app.services import idempotency
from tests.races import fast_clock
from tests.races.unprotected import unprotect

UNPROTECTED = "UNPROTECTED"


def create_app(*, with_back_office: bool = True) -> Flask:
    """Return the application by the environment's clock; UNPROTECTED says what protection is missing."""
    fast = fast_clock.install(clock)
    fast_clock.stamp_requests(fast)
    # Who waits for a claim to lapse counts the seconds as well.
    idempotency.time = SimpleNamespace(monotonic=fast.seconds, sleep=time.sleep)  # type: ignore[attr-defined]
    app = create_real_app(with_back_office=with_back_office)
    if os.environ.get(UNPROTECTED):
        unprotect(os.environ[UNPROTECTED])
    return app
