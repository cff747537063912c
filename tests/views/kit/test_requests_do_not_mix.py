"""One view serves many threads: what one request filters must not reach another (FAB trap 1)."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask

from tests.views.kit.cafe import Visit
from tests.views.kit.conftest import Login
from tests.views.kit.forms import rows

THREADS = 8
POSTS = 12


@pytest.fixture
def hasty_switching() -> object:
    """Let threads interrupt each other far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_switching")
def test_rows_added_from_related_tabs_by_8_threads_all_land_on_their_own_desk(
    app: Flask, login: Login
) -> None:
    desks = {11: 1, 12: 1, 21: 2, 22: 2}
    clients = [login("owner") for _ in range(THREADS)]
    together = Barrier(THREADS)

    def work(number: int) -> None:
        desk = list(desks)[number % len(desks)]
        together.wait()
        for post in range(POSTS):
            data = {"store": str(desks[desk]), "note": f"{desk}:{number}:{post}", "amount_fen": "1"}
            answer = clients[number].post(f"/visitview/add?_flt_0_desk={desk}", data=data)
            assert answer.status_code == 302, answer.text

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))

    made = [row for row in rows(app, Visit) if ":" in row["note"]]
    assert len(made) == THREADS * POSTS
    assert [row for row in made if row["note"].split(":")[0] != str(row["desk_id"])] == []


def test_filters_of_a_view_are_new_for_each_request(app: Flask) -> None:
    view = next(view for view in app.appbuilder.baseviews if type(view).__name__ == "VisitView")  # type: ignore[attr-defined]
    with app.test_request_context("/visitview/list/?_flt_0_note=a"):
        first = view._filters
        first.add_filter_index("note", 0, ["a"])
        assert view._filters is first
    with app.test_request_context("/visitview/list/"):
        assert view._filters is not first
        assert view._filters.get_filters_values() == []


@pytest.mark.usefixtures("hasty_switching")
def test_lists_filtered_by_8_threads_show_each_their_own_rows(login: Login) -> None:
    clients = [login("owner") for _ in range(THREADS)]
    together = Barrier(THREADS)

    def work(number: int) -> None:
        place = number % 2 + 1
        together.wait()
        for _ in range(POSTS // 2):
            page = clients[number].get(f"/visitview/list/?_flt_1_note=visit+of+{place}").text
            assert f"visit of {place}</" in page
            assert f"visit of {3 - place}</" not in page

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
