"""Raw callbacks of payment services: refused with a stable code, or kept once under their unique id."""

from __future__ import annotations

from datetime import datetime

from app.models import PaymentCallback
from app.services.inserts import insert_into
from app.services.unit_of_work import change_rows


class CallbackRefused(Exception):
    """A callback that is answered with a refusal; `code` is stable and tells nothing of its content."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def keep_callback(
    channel: str, callback_id: str, event: str, subject_no: str, body: str, *, now: datetime
) -> bool:
    """Store a callback under its unique id and tell whether it is the first of its kind."""
    done = change_rows(
        insert_into(PaymentCallback)
        .values(
            channel=channel,
            callback_id=callback_id,
            event=event,
            subject_no=subject_no,
            body=body,
            received_at=now,
            outcome="applied",
        )
        .on_conflict_do_nothing()
    )
    return bool(done)
