"""The rules in processes whose own time zone is another one: nothing of a machine's clock may show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Everything that looks at local days, clocks and calendars.
RULES = (
    "test_alternatives.py",
    "test_availability.py",
    "test_booking_rules.py",
    "test_calendar.py",
    "test_changes.py",
    "test_discounts.py",
    "test_opening.py",
    "test_overtime.py",
    "test_price_trials.py",
    "test_pricing.py",
    "test_pricing_boundaries.py",
    "test_pricing_clocks.py",
    "test_pricing_flat.py",
    "test_slots.py",
    "test_voucher_rules.py",
)
SERVICES = ("test_quotes.py", "test_availability.py", "test_changes.py", "test_overtime.py", "test_stays.py")
PROPERTIES = ("test_pricing_properties.py", "test_pricing_cuts.py", "test_availability_properties.py")


def run_tests(zone: str, *paths: str) -> str:
    """Run tests in a process of that zone and return what it says; raises AssertionError when one fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not prove", *paths]
    environment = os.environ | {"TZ": zone}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai"])
def test_rules_hold_in_every_zone_of_a_machine(zone: str) -> None:
    assert " passed" in run_tests(zone, *(f"tests/domain/{name}" for name in RULES))


def test_zone_reaches_the_process() -> None:
    """The proof above is worth something only if the variable arrives."""
    show = "import datetime; print(datetime.datetime(2026, 3, 1, 12).astimezone().utcoffset())"
    for zone, offset in (("America/New_York", "-1 day, 19:00:00"), ("Asia/Shanghai", "8:00:00")):
        command = [sys.executable, "-c", show]
        done = subprocess.run(
            command, env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == offset


@pytest.mark.prove
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai", "Pacific/Chatham"])
def test_properties_and_services_hold_in_every_zone_of_a_machine(zone: str) -> None:
    paths = [f"tests/domain/{name}" for name in PROPERTIES] + [f"tests/services/{name}" for name in SERVICES]
    assert " passed" in run_tests(zone, *paths)
