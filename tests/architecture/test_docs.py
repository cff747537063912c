"""Documents keep up with the code: links lead somewhere, and every setting is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, project_files, shown

FENCE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
ELSEWHERE = ("http://", "https://", "mailto:")
# How settings are read: env.get("X"), os.environ.get("X"), _flag("X"), _list("X"), _port(environment, "X").
READ = re.compile(r'(?:\benv(?:iron(?:ment)?)?\.get|_flag|_list|_port)\((?:environment, )?"([A-Z][A-Z_]+)"')
EXPLAINED = re.compile(r"^\| `([A-Z][A-Z_]+)` \|", re.MULTILINE)
SETTINGS = ("config.py", "deploy/gunicorn.conf.py", "run.py")


def documents() -> list[Path]:
    """Return every Markdown file that the project wrote."""
    return [path for path in project_files() if path.suffix == ".md" and "vendor" not in path.parts]


def text_of(path: Path) -> str:
    """Return a document without its blocks of code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """Return the anchors that the headings of a document make."""
    titles = (re.sub(r"[^\w\- ]", "", title).strip().lower() for title in HEADING.findall(text))
    return {title.replace(" ", "-") for title in titles}


def broken_links(path: Path) -> list[str]:
    """Return the relative links of a document that lead nowhere."""
    broken = []
    for link in LINK.findall(text_of(path)):
        if link.startswith(ELSEWHERE):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        is_there = target.exists() and (not anchor or anchor in anchors(text_of(target)))
        broken += [] if is_there else [link]
    return broken


def settings_read(*names: str) -> set[str]:
    """Return the environment variables that some files read."""
    return {found for name in names for found in READ.findall((ROOT / name).read_text(encoding="utf-8"))}


def test_links_of_the_documents_resolve() -> None:
    found = {shown(path): broken_links(path) for path in documents()}

    assert len(found) > 10
    assert {name: links for name, links in found.items() if links} == {}


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[here](other.md)", []),
        ("[here](other.md#a-b-c)", []),
        ("[gone](missing.md)", ["missing.md"]),
        ("![gone](missing.png)", ["missing.png"]),
        ("[no such heading](other.md#d)", ["other.md#d"]),
        ("[elsewhere](https://example.org/x)", []),
        ("```\n[code](missing.md)\n```\n", []),
    ],
)
def test_broken_links_are_found(tmp_path: Path, text: str, broken: list[str]) -> None:
    (tmp_path / "other.md").write_text("# A\n\n## A, b & c\n".replace(" &", ""))
    (tmp_path / "page.md").write_text(text)

    assert broken_links(tmp_path / "page.md") == broken


def test_every_setting_is_explained_and_every_explained_one_exists() -> None:
    explained = set(EXPLAINED.findall((ROOT / "docs/operations.md").read_text(encoding="utf-8")))
    read = settings_read(*SETTINGS)

    assert len(settings_read("config.py")) > 20
    assert (sorted(read - explained), sorted(explained - read)) == ([], [])
