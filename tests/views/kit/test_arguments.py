"""Query strings that nobody's page made: ignored or clamped, never an error (FAB trap 14)."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.views.kit.arguments import local_path
from tests.views.kit.cafe import Desk, Kind, Visit
from tests.views.kit.forms import csv_rows

LISTS = {
    "desks": "/deskview/list/",
    "a detail page with a tab": "/deskview/show/11",
    "export": "/deskview/export",
}
BAD = {
    "page is a word": "page_DeskView=abc",
    "page is negative": "page_DeskView=-1",
    "page is endless": "page_DeskView=99999999999999999999999",
    "page of a related list": "page_VisitView=x&psize_VisitView=y&_oc_VisitView=note&_od_VisitView=asc",
    "page size is a word": "psize_DeskView=x",
    "page size is zero": "psize_DeskView=0",
    "page size is huge": "psize_DeskView=100000",
    "order by nothing known": "_oc_DeskView=nonesuch&_od_DeskView=asc",
    "order by a method": "_oc_DeskView=__class__&_od_DeskView=asc",
    "order by a deep path": "_oc_DeskView=store.store.name&_od_DeskView=asc",
    "order by a column that is not offered": "_oc_DeskView=pin&_od_DeskView=asc",
    "order direction is odd": "_oc_DeskView=name&_od_DeskView=sideways",
    "filter index out of range": "_flt_9_fee_fen=1",
    "filter on a secret": "_flt_0_pin=1",
    "filter on nothing known": "_flt_0_nonesuch=1",
    "filter text for money": "_flt_0_fee_fen=abc",
    "filter money with many digits": "_flt_1_fee_fen=" + "9" * 30,
    "filter number with many digits": "_flt_0_capacity=" + "9" * 30,
    "filter number of full width": "_flt_0_capacity=４",
    "filter n for a boolean": "_flt_0_is_active=n",
    "filter x for a boolean": "_flt_0_is_active=x",
    "filter enum that is none": "_flt_0_kind=X",
    "filter relation by a word": "_flt_0_store=abc",
    "filter relation by a huge key": "_flt_0_store=" + "9" * 40,
    "filter tags by a word": "_flt_0_tags=abc",
    "filter date that is none": "_flt_0_since_on=2026-02-31",
    "filter instant that is none": "_flt_0_open_at=yesterday",
    "filter instant in the year 1": "_flt_0_open_at=0001-01-01",
    "filter instant in the year 9999": "_flt_1_open_at=9999-12-31",
    "filter number that is not finite": "_flt_0_weight=NaN",
    "filter number with an exponent": "_flt_0_weight=1e400",
    "filter with a NUL": "_flt_0_name=a%00b",
    "filter with nothing": "_flt_0_name=",
    "filter with an endless text": "_flt_0_name=" + "x" * 5000,
    "search with a NUL": "q=%00",
    "search with an endless text": "q=" + "x" * 5000,
    "search with wildcards": "q=%25_%5C",
    "arguments that url_for reads itself": "_external=1&_scheme=javascript&_anchor=a&_method=POST&endpoint=x",
    "arguments that name the row": "pk=2&name=x",
    "bytes that are no text": "q=%ff%fe",
}


@pytest.mark.parametrize("page", LISTS)
@pytest.mark.parametrize("label", BAD)
def test_bad_query_string_is_harmless(owner: FlaskClient, page: str, label: str) -> None:
    answer = owner.get(f"{LISTS[page]}?{BAD[label]}")

    assert answer.status_code == 200
    assert "javascript:" not in answer.get_data(as_text=True)


def test_page_size_is_capped(app: Flask, owner: FlaskClient) -> None:
    with app.app_context(), use_scope(ALL_STORES):
        db.session.add_all(
            [Desk(store_id=1, name=f"Many {number}", kind=Kind.ROUND) for number in range(150)]
        )
        db.session.commit()

    page = owner.get("/deskview/list/?psize_DeskView=100000").text

    assert page.count("data-row>") == 100


def test_page_past_the_end_shows_the_last_page(owner: FlaskClient) -> None:
    page = owner.get("/deskview/list/?psize_DeskView=3&page_DeskView=50").text

    assert "Desk 2-2" in page
    assert "Desk 1-1" not in page


@pytest.mark.parametrize(
    ("label", "query", "expected"),
    [
        ("part of a text", "_flt_0_name=2-", ["Desk 2-1", "Desk 2-2"]),
        ("a percent sign is a percent sign", "_flt_0_name=%25", []),
        ("an underscore is an underscore", "q=_", []),
        ("text is found without case", "q=dESK+1-1", ["Desk 1-1"]),
        ("one relation", "_flt_0_store=2", ["Desk 2-1", "Desk 2-2"]),
        ("not that relation", "_flt_1_store=2", ["Desk 1-1", "Desk 1-2"]),
        (
            "two values of a column are alternatives",
            "_flt_1_name=Desk+1-1&_flt_1_name=Desk+2-2",
            ["Desk 1-1", "Desk 2-2"],
        ),
        ("money in yuan, from", "_flt_1_fee_fen=10.00", ["Desk 2-2"]),
        ("money in yuan, to", "_flt_2_fee_fen=9.99", ["Desk 1-1", "Desk 1-2", "Desk 2-1"]),
        ("enum", "_flt_0_kind=square", ["Desk 1-2"]),
        ("not that enum", "_flt_1_kind=square", ["Desk 1-1", "Desk 2-1", "Desk 2-2"]),
        ("boolean yes", "_flt_0_is_active=y", ["Desk 1-1", "Desk 1-2", "Desk 2-2"]),
        ("boolean not yes", "_flt_1_is_active=y", ["Desk 2-1"]),
        ("local day, to", "_flt_1_open_at=2026-03-04", ["Desk 1-1"]),
        ("local day before", "_flt_1_open_at=2026-03-03", []),
        ("local instant, from", "_flt_0_open_at=2026-03-04+23:30", ["Desk 1-1"]),
        ("local instant after", "_flt_0_open_at=2026-03-04+23:31", []),
        ("a to-many relation", "_flt_0_tags=1", ["Desk 1-1"]),
    ],
)
def test_filter_shows(app: Flask, owner: FlaskClient, label: str, query: str, expected: list[str]) -> None:
    from datetime import UTC, datetime

    from tests.views.kit.cafe import Tag

    with app.app_context(), use_scope(ALL_STORES):
        session = db.session
        session.get(Desk, 12).kind = Kind.SQUARE
        session.get(Desk, 21).is_active = False
        session.get(Desk, 22).fee_fen = 1000
        first = session.get(Desk, 11)
        # 23:30 of 4 March in Shanghai.
        first.open_at = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
        first.tags = [session.get(Tag, 1)]
        session.commit()

    lines = csv_rows(owner, f"/deskview/export?{query}")
    page = owner.get(f"/deskview/list/?{query}").text

    assert [line.split(",")[0] for line in lines] == expected
    assert re.findall(r"Desk \d-\d(?=</a>)", page) == expected


def test_order_follows_a_column_of_a_relation(owner: FlaskClient) -> None:
    names = [
        line.split(",")[0]
        for line in csv_rows(owner, "/deskview/export?_oc_DeskView=store.name&_od_DeskView=desc")
    ]

    assert names == ["Desk 2-2", "Desk 2-1", "Desk 1-2", "Desk 1-1"]


def test_wrong_filter_value_does_not_empty_the_list(app: Flask, owner: FlaskClient) -> None:
    assert app  # rows are there
    assert len(csv_rows(owner, "/visitview/export?_flt_0_amount_fen=abc")) == 2
    assert Visit.__tablename__ == "cafe_visits"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/deskview/list/?a=1", "/deskview/list/?a=1"),
        ("//evil.example/", None),
        ("/\\evil.example", None),
        ("https://evil.example/", None),
        ("javascript:alert(1)", None),
        ("/a\r\nSet-Cookie: x", None),
        ("relative", None),
        ("", None),
        (None, None),
    ],
)
def test_only_local_paths_are_followed(url: str | None, expected: str | None) -> None:
    assert local_path(url) == expected
