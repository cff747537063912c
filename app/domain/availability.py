"""Room state over time: free and grey spans with their reasons.

*Free* is a promise in both directions. A booking of an allowed length on the policy's steps that lies wholly
inside one free span is accepted by `check_span` and `check_place`; a booking that touches a grey span is
refused by them. (Walk-ins, sessions and vouchers bring their own starts or lengths and stand aside.)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from zoneinfo import ZoneInfo

from app.domain.booking_rules import BookingPolicy
from app.domain.slots import Span, local_day

# The reasons that are more exact than their state.
STATES = {
    "ended": "in_use",
    "in_past": "closed",
    "too_soon": "closed",
    "too_far": "closed",
    "too_short": "closed",
    "off_step": "closed",
    "buffer": "cleaning",
}


def load_window(window: Span, policies: Iterable[BookingPolicy]) -> Span:
    """Return the time for which opening, bookings and blocks must be loaded to paint *window*.

    It is wider because a gap that reaches over the window's edge may be long enough for a booking.
    """
    reach = max((_reach_minutes(policy) for policy in policies), default=0)
    return window.widened(reach, reach)


def free_minutes_on(free: Iterable[Span], on: date, tz: ZoneInfo) -> int:
    """Return how many free minutes lie in one local day, for the month calendar."""
    day = local_day(on, tz)
    return sum(part.minutes for span in free if (part := span.intersect(day)))


def _reach_minutes(policy: BookingPolicy) -> int:
    buffers = policy.buffer_before_minutes + policy.buffer_after_minutes
    return policy.min_minutes + policy.start_step_minutes + buffers
