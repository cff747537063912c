"""Pages speak the language that was chosen, and nothing on a Chinese page was left in English."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories as make
from tests.views.helpers import client_of

# What is called so in every language, and samples of what is typed.
NAMES = {"Wi", "Fi", "QR", "JSON", "CSV", "Quefang", "English", "XXXX", "YYYY", "MM", "DD", "HH", "thing"}
SPOKEN_ATTRIBUTES = {"title", "aria-label", "placeholder", "alt", "data-confirm"}
SILENT_ELEMENTS = {"script", "style"}
# Names of variables of the message templates stand in braces.
NO_TEXT = re.compile(r"\{\w+\}|[\w.+-]+@[\w.]+")
LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


class Words(HTMLParser):
    """Collects what a page shows or says, with its language."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.language, self.texts, self.silence = "", [""], 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silence += tag in SILENT_ELEMENTS
        self.language = dict(attrs).get("lang") or self.language if tag == "html" else self.language
        self.texts += [value for name, value in attrs if name in SPOKEN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self.silence -= tag in SILENT_ELEMENTS

    def handle_data(self, data: str) -> None:
        if not self.silence:
            self.texts.append(data)


def english_of(page: str) -> set[str]:
    """Return the texts of a page with words that have no business on a Chinese page."""
    return {
        text.strip() for text in Words(page).texts if set(LATIN_WORD.findall(NO_TEXT.sub("", text))) - NAMES
    }


def speaking(client: FlaskClient, language: str) -> FlaskClient:
    """Choose a language as the switch in the page's head does."""
    assert client.get(f"/lang/{language}").status_code == 302
    return client


def owner_of(app: Flask) -> FlaskClient:
    """Return the client of an owner whose name has no Latin letters."""
    return client_of(app, make.make_staff("Owner", username="13800000000"))


@pytest.mark.parametrize(
    ("language", "tag", "button"),
    [("zh", "zh-CN", "登录"), ("zh_Hant", "zh-Hant", "登入"), ("en", "en", "Sign In")],
)
def test_login_page_speaks_each_language(client: FlaskClient, language: str, tag: str, button: str) -> None:
    page = speaking(client, language).get("/login/").get_data(as_text=True)

    assert Words(page).language == tag
    assert button in page


def test_pages_are_chinese_unless_asked(client: FlaskClient) -> None:
    assert Words(client.get("/login/").get_data(as_text=True)).language == "zh-CN"


@pytest.mark.parametrize("language", ["zh", "zh_Hant"])
def test_screens_show_no_english(app: Flask, language: str) -> None:
    client = speaking(owner_of(app), language)
    views = [view for view in app.appbuilder.baseviews if hasattr(view, "datamodel")]
    pages = ["/", "/profile/", "/redemption/", "/walk-ins/", "/nothing-is-here"]
    pages += [f"{view.route_base}/list/" for view in views]
    pages += [f"{view.route_base}/add" for view in views if "add" not in view.exclude_route_methods]

    answers = {page: client.get(page) for page in pages}
    found = {page: english_of(answer.get_data(as_text=True)) for page, answer in answers.items()}

    assert {page: one.status_code for page, one in answers.items() if one.status_code != 200} == {
        "/nothing-is-here": 404
    }
    assert {page: texts for page, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    ("language", "message"),
    [("zh", "邮箱地址无效。"), ("zh_Hant", "電子郵件地址無效。"), ("en", "Invalid email address.")],
)
def test_forms_refuse_in_the_language_of_the_page(app: Flask, language: str, message: str) -> None:
    """WTForms ships no Traditional Chinese; the product's catalogue speaks for it."""
    client = speaking(owner_of(app), language)

    answer = client.post("/staff/add", data={"email": "nobody"})

    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)


def test_exports_use_the_words_of_the_screen(app: Flask) -> None:
    client = owner_of(app)
    assert client.post("/facilities/add", data={"name": "茶具"}).status_code == 302

    header, entry = client.get("/audit/export").get_data(as_text=True).strip().splitlines()

    assert "操作人" in header
    assert "已创建" in entry
    assert "create" not in entry


@pytest.mark.parametrize(
    ("page", "texts"),
    [
        ("<p>门店</p>", set()),
        ("<p>Wi-Fi {store} ada@example.com</p>", set()),
        ("<script>let hidden</script><p title='Next page'>下一页</p>", {"Next page"}),
        ("<p>保存 failed</p>", {"保存 failed"}),
    ],
)
def test_english_on_a_page_is_found(page: str, texts: set[str]) -> None:
    assert english_of(page) == texts
