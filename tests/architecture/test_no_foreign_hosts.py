"""Pages load nothing from another host, so they work in every network and tell nobody."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import project_files, shown

HOST = r"(?:https?:|wss?:)?//[\w-]+(?:\.[\w-]+)+"
# Names of XML vocabularies look like addresses, but nothing is ever loaded from them.
VOCABULARY = re.compile(
    r"https?://www\.w3\.org/(?:2000/svg|1999/xlink|1999/xhtml|1998/Math/MathML|XML/1998/\w+)"
)
OWN_PAGES = re.compile(HOST)
# Vendored files name their authors in comments; only what a browser would load counts there.
LOADED = re.compile(rf"""url\(\s*["']?{HOST}|@import\s+(?:url\()?["']?{HOST}|sourceMappingURL={HOST}""")
PAGE_KINDS = {".html", ".jinja", ".j2", ".css", ".js", ".mjs", ".svg", ".txt", ".json"}


def foreign_hosts(text: str, *, is_vendored: bool) -> list[str]:
    """Return what a text names on other hosts."""
    pattern = LOADED if is_vendored else OWN_PAGES
    return pattern.findall(VOCABULARY.sub("", text))


def test_templates_and_assets_name_no_other_host() -> None:
    found = {}
    for path in project_files("app/templates", "app/static"):
        if path.suffix in PAGE_KINDS:
            is_vendored = "app/static/vendor" in shown(path)
            found[shown(path)] = foreign_hosts(path.read_text(encoding="utf-8"), is_vendored=is_vendored)

    assert found, "no page was looked at"
    assert {name: hosts for name, hosts in found.items() if hosts} == {}


@pytest.mark.parametrize(
    ("text", "is_vendored", "count"),
    [
        ('<script src="https://cdn.example.org/x.js">', False, 1),
        ('<script src="//cdn.example.org/x.js">', False, 1),
        ("@import 'https://fonts.example.org/css'", True, 1),
        ("a { background: url(//img.example.org/x.png) }", True, 1),
        ("/*! see https://example.org/licence */", True, 0),
        ('<svg xmlns="http://www.w3.org/2000/svg">', False, 0),
        ("// a comment, see other.file", False, 0),
        ('<a href="/orders/">', False, 0),
    ],
)
def test_foreign_hosts_are_told_from_the_rest(text: str, is_vendored: bool, count: int) -> None:
    assert len(foreign_hosts(text, is_vendored=is_vendored)) == count
