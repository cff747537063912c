"""The theme covers FAB's screens, runs under a strict script policy and refers only to files that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import flask_appbuilder
import pytest
from jinja2 import Environment, FileSystemLoader

from scripts import vendor_assets

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "app" / "templates"
STATIC = ROOT / "app" / "static"
FAB_TEMPLATES = Path(flask_appbuilder.__file__).parent / "templates"

# Templates of ways to sign in that are not offered, and of parts that are switched off.
NOT_REACHABLE = {
    "appbuilder/_formhelpers.html",
    "appbuilder/general/security/login_oauth.html",
    "appbuilder/general/security/login_saml.html",
    "appbuilder/general/security/register_mail.html",
    "appbuilder/general/security/register_oauth.html",
    "appbuilder/swagger/swagger.html",
}
ERROR_CODES = (400, 403, 404, 405, 409, 413, 422, 429, 500, 503)

SCRIPT_TAG = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL | re.IGNORECASE)
HANDLER = re.compile(r"""<[a-z][^<>]*\son[a-z]+\s*=\s*["']|javascript:""", re.IGNORECASE)
OLD_LOOK = re.compile(
    r"\b(?:panel-(?:body|heading|default)|glyphicon|btn-default|btn-xs|pull-right|well-sm|img-rounded|col-xs-\d+)\b"
    r"|class=\"(?:fa |well|caret|label label-)|data-(?:toggle|target|dismiss|parent)="
)
JINJA = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
WORD = re.compile(r"[A-Za-z]{3,}")
SPOKEN = re.compile(r"""\s(?:title|placeholder|aria-label|alt|data-confirm)="([^"]*)\"""")


def read(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    """Return the name under which Jinja knows a template."""
    return path.relative_to(TEMPLATES).as_posix()


def themed() -> list[Path]:
    """Return the templates of the back office."""
    return [
        path
        for folder in ("appbuilder", "errors", "macros", "pages")
        for path in sorted((TEMPLATES / folder).rglob("*.html"))
    ]


def environment() -> Environment:
    """Return a bare Jinja that can read the templates."""
    made = Environment(
        loader=FileSystemLoader([TEMPLATES, FAB_TEMPLATES]), extensions=["jinja2.ext.i18n"], autoescape=True
    )
    made.filters.update(
        dict.fromkeys(
            (
                "datetimeformat",
                "get_actions_on_list",
                "get_actions_on_show",
                "get_link_order",
                "is_item_visible",
                "safe_url_for",
                "set_link_filters",
            ),
            str,
        )
    )
    return made


def unsafe_scripts(text: str) -> list[str]:
    """Return scripts that a policy without unsafe-inline would block, and inline event handlers."""
    found = [
        attributes.strip()
        for attributes, body in SCRIPT_TAG.findall(text)
        if "application/json" not in attributes and (body.strip() or "src=" not in attributes)
        if "nonce=" not in attributes
    ]
    return found + HANDLER.findall(text)


def bare_words(text: str) -> list[str]:
    """Return words that a reader would see and no catalogue could translate."""
    text = SCRIPT_TAG.sub("", JINJA.sub(" \N{SECTION SIGN} ", text))
    spoken = [value for value in SPOKEN.findall(text) if WORD.search(value)]
    return spoken + WORD.findall(re.sub(r"<[^>]*>", " ", text))


def test_every_reachable_template_of_fab_is_replaced() -> None:
    shipped = {
        path.relative_to(FAB_TEMPLATES).as_posix()
        for path in FAB_TEMPLATES.rglob("*.html")
        if path.relative_to(FAB_TEMPLATES).parts[0] == "appbuilder"
    }
    own = {name_of(path) for path in themed()}

    assert len(shipped) > 40
    assert shipped - own - NOT_REACHABLE == set()
    assert NOT_REACHABLE - shipped == set()


@pytest.mark.parametrize("path", themed(), ids=name_of)
def test_template_compiles(path: Path) -> None:
    assert environment().get_template(name_of(path)).root_render_func


@pytest.mark.parametrize("code", ERROR_CODES)
def test_error_page_exists_and_says_its_code(code: int) -> None:
    assert f"{{% set code = {code} %}}" in read(TEMPLATES / "errors" / f"{code}.html")


@pytest.mark.parametrize("code", [500, 503])
def test_page_of_a_broken_server_needs_no_database(code: int) -> None:
    assert "{% set is_alone = true %}" in read(TEMPLATES / "errors" / f"{code}.html")


def test_templates_have_left_the_old_look() -> None:
    found = {name_of(path): OLD_LOOK.findall(read(path)) for path in themed()}

    assert {name: hits for name, hits in found.items() if hits} == {}


def test_templates_have_no_scripts_without_a_nonce() -> None:
    found = {name_of(path): unsafe_scripts(read(path)) for path in sorted(TEMPLATES.rglob("*.html"))}

    assert {name: hits for name, hits in found.items() if hits} == {}


def test_visible_words_go_through_the_catalogue() -> None:
    found = {name_of(path): bare_words(read(path)) for path in themed()}

    assert {name: words for name, words in found.items() if words} == {}


def test_posting_forms_carry_a_token() -> None:
    tokens = ("csrf_field()", "form.hidden_tag()")
    found = [
        (name_of(path), form)
        for path in themed()
        for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", read(path), re.DOTALL)
        if not any(token in form for token in tokens)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<script>alert(1)</script>", 1),
        ('<script src="{{ x }}"></script>', 0),
        ('<script nonce="{{ n() }}">f()</script>', 0),
        ('<script type="application/json">{{ x }}</script>', 0),
        ('<button onclick="f()">', 1),
        ('<a href="javascript:f()">', 1),
        ('<button data-confirm="{{ question }}">', 0),
    ],
    ids=["inline", "file", "nonce", "data", "handler", "javascript link", "question"],
)
def test_unsafe_scripts_are_told_from_the_rest(text: str, count: int) -> None:
    assert len(unsafe_scripts(text)) == count


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<b>Record count</b>", ["Record", "count"]),
        ("<b>{{ _('Record count') }}</b>", []),
        ('<a title="Delete row">{{ icon }}</a>', ["Delete row"]),
        ("{# why this is here #}<b>2 m</b>", []),
    ],
    ids=["bare text", "translated", "bare title", "comment"],
)
def test_bare_words_are_told_from_the_rest(text: str, words: list[str]) -> None:
    assert bare_words(text) == words


@pytest.mark.parametrize(
    ("text", "is_old"),
    [
        ('<div class="panel-body">', True),
        ('<i class="fa fa-edit">', True),
        ('<a data-toggle="tab">', True),
        ('<a data-bs-toggle="tab">', False),
        ('<div class="card-body">', False),
    ],
)
def test_the_old_look_is_recognised(text: str, is_old: bool) -> None:
    assert bool(OLD_LOOK.search(text)) is is_old


def test_static_files_named_by_templates_exist() -> None:
    named = {
        name
        for path in sorted(TEMPLATES.rglob("*.html"))
        for name in re.findall(r"url_for\('static', filename='([^']+)'\)", read(path))
    }

    assert len(named) > 10
    assert {name for name in named if not (STATIC / name).is_file()} == set()


def test_modules_imported_by_scripts_exist() -> None:
    scripts = sorted((STATIC / "js").glob("*.js"))
    missing = [
        (script.name, target)
        for script in scripts
        for target in re.findall(r'from "\./([^"]+)"', read(script))
        if not (STATIC / "js" / target).is_file()
    ]

    assert scripts
    assert missing == []


def test_icons_that_are_named_are_in_the_sprite() -> None:
    sprite = read(next((STATIC / "vendor").glob("tabler-icons-*/icons.svg")))
    offered = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    named = {name for path in themed() for name in re.findall(r"\bicon\('([^']+)'", read(path))}
    mapped = set(re.findall(r"'fa-[\w-]+': '([\w-]+)'", read(TEMPLATES / "macros" / "icons.html")))

    assert len(named) > 20
    assert len(mapped) > 20
    assert (named | mapped) - offered == set()


def test_vendored_files_match_the_recorded_packages() -> None:
    manifest = json.loads(read(vendor_assets.MANIFEST))
    recorded = {package.name: package.version for package in vendor_assets.PACKAGES}

    assert vendor_assets.find_differences() == []
    assert {name: entry["version"] for name, entry in manifest["packages"].items()} == recorded


def test_every_vendored_package_has_its_licence() -> None:
    folders = [path for path in sorted((STATIC / "vendor").iterdir()) if path.is_dir()]

    assert {path.name for path in folders} == {package.folder for package in vendor_assets.PACKAGES}
    assert [
        path.name
        for path in folders
        if "MIT" not in read(path / "LICENCE") and "Apache License" not in read(path / "LICENCE")
    ] == []


def test_altered_vendored_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept.js").write_text("1")
    (tmp_path / "new.js").write_text("2")
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"files": {"kept.js": "0", "gone.js": "0"}}))
    monkeypatch.setattr(vendor_assets, "VENDOR_DIR", tmp_path)
    monkeypatch.setattr(vendor_assets, "MANIFEST", manifest)

    assert vendor_assets.find_differences() == [
        "altered: kept.js",
        "missing: gone.js",
        "not in the manifest: new.js",
    ]
