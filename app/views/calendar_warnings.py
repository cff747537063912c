"""What everybody who makes prices should know of the calendar, for the top of their lists."""

from __future__ import annotations

from app.domain.clock import utc_now
from app.services import price_trials
from app.views.price_trial_words import unknown_year_text


def calendar_warnings() -> list[str]:
    """Return a sentence for each bookable year whose public holidays nobody has published yet."""
    return [unknown_year_text(year) for year in price_trials.list_unknown_years(now=utc_now())]
