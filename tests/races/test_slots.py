"""Eight customers after every slot: one wins each, and the control shows that doubles would be seen."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from statistics import median
from urllib.parse import urlencode

import pytest

from tests.races.clients import PROCESSES, Answer, Racers, book_all
from tests.races.conftest import Report, Serve, sized
from tests.races.crowd import together
from tests.races.tally import Row, Tally
from tests.races.trouble import Trouble
from tests.races.web import OVERLAPS, Site

THREADS = ("--worker-class", "gthread", "--threads", "8")


def race_for_slots(site: Site, racers: Racers, slots: int) -> list[list[Answer]]:
    """Let everybody try every slot; the answers by slot."""
    places = site.slots(slots)
    name = f"slots-{site.used_rounds}"
    answers = racers.race(book_all, [(buyer, places, name) for buyer in site.buyers(PROCESSES)])
    return [list(of_slot) for of_slot in zip(*answers, strict=True)]


def row_of(name: str, answers: list[list[Answer]], kills: int, overlaps: int) -> Row:
    """Count a race."""
    counts = Counter((answer.status, answer.code) for of_slot in answers for answer in of_slot)
    return Row(name, counts, kills, overlaps)


def figures(answers: list[list[Answer]]) -> str:
    """Return the figures of a race in words."""
    every = [answer for of_slot in answers for answer in of_slot]
    counts = dict(Counter(f"{answer.status} {answer.code}".strip() for answer in every))
    times = {status: [each.seconds for each in every if each.status == status] for status in (201, 409)}
    middle = ", ".join(f"p50 of {key} {median(each) * 1000:.0f} ms" for key, each in times.items() if each)
    slowest = max(answer.seconds for answer in every)
    return f"{len(every)} attempts, {counts}, {middle}, slowest {slowest:.2f} s"


def check(site: Site, answers: list[list[Answer]], bookings_before: int) -> None:
    """One winner for each place, a refusal for everybody else, and nothing else in the database."""
    expected = {(201, ""): 1, (409, "room_taken"): len(answers[0]) - 1}
    outcomes = [Counter((answer.status, answer.code) for answer in of_place) for of_place in answers]
    assert outcomes == [expected] * len(answers)
    assert site.scalar(OVERLAPS) == 0
    assert site.scalar("SELECT count(*) FROM bookings") - bookings_before == len(answers)
    acknowledged = {answer.body["no"] for of_place in answers for answer in of_place if answer.status == 201}
    assert acknowledged <= site.numbers("SELECT no FROM orders")
    assert "database is locked" not in site.log()


@sized(slots=(60, 2500))
def test_every_slot_has_one_winner(
    site: Site, racers: Racers, slots: int, report: Report, request: pytest.FixtureRequest, tally: Tally
) -> None:
    """Also while workers are killed: whoever gets no answer asks again under the same key."""
    before = site.scalar("SELECT count(*) FROM bookings")

    with Trouble(site, racers) as trouble:
        answers = race_for_slots(site, racers, slots)

    report(figures(answers))
    tally.rows.append(row_of(request.node.name, answers, trouble.kills, trouble.overlaps))
    check(site, answers, before)
    assert trouble.overlaps == 0
    assert trouble.kills >= slots * PROCESSES // 100


@sized(rounds=(2, 30))
def test_thirty_two_buyers_for_one_place(
    site: Site, rounds: int, report: Report, request: pytest.FixtureRequest, tally: Tally
) -> None:
    before, buyers = site.scalar("SELECT count(*) FROM bookings"), site.buyers(32)

    answers = [together(buyers, lambda buyer, place=place: buyer.book(place)) for place in site.slots(rounds)]

    report(figures(answers))
    tally.rows.append(row_of(request.node.name, answers, 0, site.scalar(OVERLAPS)))
    check(site, answers, before)


@pytest.mark.prove
def test_thirty_two_buyers_of_threaded_workers(
    serve_anew: Serve, report: Report, request: pytest.FixtureRequest, tally: Tally
) -> None:
    with serve_anew(options=THREADS) as site:
        buyers = site.buyers(32)
        answers = [together(buyers, lambda buyer, place=place: buyer.book(place)) for place in site.slots(30)]

        report(figures(answers))
        tally.rows.append(row_of(request.node.name, answers, 0, site.scalar(OVERLAPS)))
        check(site, answers, 0)


@sized(slots=(12, 100))
def test_without_protection_slots_are_sold_twice(
    bare_site: Site, racers: Racers, slots: int, report: Report
) -> None:
    answers = race_for_slots(bare_site, racers, slots)

    report(figures(answers))
    assert bare_site.scalar(OVERLAPS) > 0
    assert max(sum(answer.status == 201 for answer in of_slot) for of_slot in answers) > 1


@pytest.mark.races
def test_one_customer_alone(site: Site, report: Report) -> None:
    """Not a race: what the same requests take when nobody else is there."""
    (buyer,) = site.buyers(1)
    store = buyer.get("/stores").body["items"][0]["id"]
    first = site.slots(40)
    window = urlencode({"from": first[0].start_at, "to": later(first[0].start_at, days=7)})

    booked = [buyer.book(slot) for slot in first]
    painted = [buyer.get(f"/stores/{store}/availability?{window}") for _ in range(20)]

    assert {answer.status for answer in booked} == {201}
    assert {answer.status for answer in painted} == {200}
    times = [f"{median(answer.seconds for answer in each) * 1000:.0f} ms" for each in (booked, painted)]
    report(f"p50 of a booking {times[0]}, of a week of {len(painted[0].body['rooms'])} rooms {times[1]}")


def later(instant: str, *, days: int) -> str:
    return (datetime.fromisoformat(instant) + timedelta(days=days)).isoformat()
