"""Every text that a screen or answer may show is there in each language, in its script and its words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Catalog

from scripts import translations
from tests.architecture.sources import ROOT, project_files, shown

Pair = tuple[str, str]

# Words of Latin letters that a Chinese text may contain; all others were forgotten by the translator.
LATIN_WORDS = {
    *("Wi", "Fi", "QR", "WeChat", "SKU", "VIP", "ID", "IP", "MAC", "UUID", "LDAP", "OID"),
    # What payment services call their keys and files.
    *("API", "v", "RSA", "PEM", "pem", "pfx", "PUB_KEY_ID_", "apiclient_cert", "apiclient_key"),
    *("wx", "a", "f"),
    *("JSON", "CSV", "XLSX", "null", "YYYY", "MM", "DD", "HH", "T", "m"),
    # Names of fields and values that a form or a request really wants.
    *("accepted", "rejected", "thing"),
}
CHINESE = re.compile(r"[㐀-鿿]")
LATIN_WORD = re.compile(r"[A-Za-z_]+")
# Level 1 of Big5 ends here: the common characters of Traditional Chinese. Simplified ones lie outside.
BIG5_LEVEL_2 = 0xC940
# Characters of both scripts that stand for another one when a text is Simplified.
TWO_FACED = set("后里几余云")

# Source: the product's glossary. Where the English text has the first, the Chinese one has the second.
GLOSSARY = {
    r"\bstores?\b": "门店",
    r"\brooms?\b(?! (?:types?|blocks?)\b)": "包间",
    r"\broom types?\b": "房型",
    r"\broom blocks?\b": "停用时段",
    r"\bopening hours\b": "营业时间",
    r"\bbuffer\b": "清洁间隔",
    r"\bquotes?\b": "报价",
    r"\bpackage\b": "套餐",
    r"\bcustomers?\b": "顾客",
    r"\bstaff\b": "店员",
    r"\bbookings?\b": "预约",
    r"\bholds?\b": "占位",
    r"\bcheck(ed)? in\b|\bcheck-in\b": "开台",
    r"\bcheck(ed)? out\b|\bcheck-out\b": "离店结账",
    r"\bovertime\b": "超时",
    r"\bno-show\b": "爽约",
    r"\bcancel(led|lation)?\b": "取消",
    r"\borders?\b(?! by\b)": "订单",
    r"\bdeposit\b": "押金",
    r"\bpayments?\b": "支付",
    r"\brefund(s|ed|ing)?\b": "退款",
    r"\bcampaigns?\b": "团购活动",
    r"\bteams?\b": "团",
    r"\bsessions?\b": "场次",
    r"\bprice rules?\b": "计费规则",
    r"\bbooking rules\b": "预约规则",
    r"\bwalk-in\b": "到店开单",
    r"\bvouchers?\b": "团购券",
    r"\bcoupons?\b": "优惠券",
    r"\bredeem(ed)?\b|\bredemptions?\b": "核销",
    r"\breverse[ds]?\b": "撤销",
    r"\bdoor code\b": "开门码",
    r"\baudit (entry|log)\b": "操作日志",
    r"\bmini-program\b": "小程序",
}
# Short forms that everybody understands where they stand.
OUTSIDE_GLOSSARY = {
    "Code ends with": "券码尾号",
    "End of the voucher code": "券码尾号",
    "Payment received": "已收款",
    "Collect payment": "收款",
    "Open the order": "开单",
    "In order": "正常",
    "Customer service": "客服",
    "Look at the voucher": "验券",
    "Please look at the voucher again first.": "请重新验券后再核销。",
}


@pytest.fixture(scope="module")
def template() -> Catalog:
    return translations.extract()


def pairs(language: str) -> Iterator[Pair]:
    """Yield each source text with its translation."""
    for message in translations.messages(translations.load(language)):
        for text in translations.strings(message):
            yield translations.ids(message)[0], text


def latin_words(text: str) -> set[str]:
    """Return the words of a Chinese text that should have been translated."""
    plain = translations.PLACEHOLDER.sub(" ", text)
    return set(LATIN_WORD.findall(plain)) - LATIN_WORDS


def is_simplified(char: str) -> bool:
    """Tell whether a character may stand in a Simplified text."""
    return not CHINESE.match(char) or bool(char.encode("gb2312", "ignore"))


def is_traditional(char: str) -> bool:
    """Tell whether a character may stand in a Traditional text."""
    if not CHINESE.match(char):
        return True
    code = int.from_bytes(char.encode("big5", "ignore"), "big")
    return 0 < code < BIG5_LEVEL_2 and char not in TWO_FACED


def missing_terms(source: str, text: str) -> list[str]:
    """Return the glossary's words that a Chinese text should have."""
    plain = translations.PLACEHOLDER.sub(" ", source)
    wanted = [term for pattern, term in GLOSSARY.items() if re.search(pattern, plain, re.IGNORECASE)]
    return [term for term in wanted if term not in text]


def test_catalogues_are_complete_and_compiled(template: Catalog) -> None:
    assert translations.complaints(template) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Pending payment", "app/domain/states.py"),
        ("Redeem now", "app/templates/pages/redemption.html"),
        ("Access is Denied", "flask_appbuilder/const.py"),
        ("Invalid URL.", "wtforms/validators.py"),
    ],
)
def test_template_has_the_texts_of_each_source(template: Catalog, text: str, place: str) -> None:
    message = template.get(text)

    assert message is not None
    assert place in [path for path, _ in message.locations]


@pytest.mark.parametrize(
    ("case", "source", "translated", "flags", "complaint"),
    [
        ("complete", "%(n)s left", "还剩 %(n)s", [], []),
        ("missing", "Another", "另一个", [], ["'%(n)s left' is missing", "'Another' is no longer used"]),
        ("empty", "%(n)s left", "", [], ["'%(n)s left' is not translated"]),
        ("fuzzy", "%(n)s left", "还剩 %(n)s", ["fuzzy"], ["'%(n)s left' is marked as fuzzy"]),
        ("renamed", "%(n)s left", "还剩 %(m)s", [], ["'%(n)s left' must keep %(n)s"]),
        ("dropped", "%(n)s left", "还剩", [], ["'%(n)s left' must keep %(n)s"]),
    ],
)
def test_flaws_are_found(
    case: str, source: str, translated: str, flags: list[str], complaint: list[str]
) -> None:
    wanted, catalogue = Catalog(fuzzy=False), Catalog(locale="zh", fuzzy=False)
    wanted.add("%(n)s left")
    catalogue.add(source, translated, flags=flags)

    assert translations.complaints_about(catalogue, wanted) == complaint, case


def test_what_no_language_can_know_is_not_translated() -> None:
    """A text must be written where it is marked, otherwise no catalogue can have it."""
    found = [
        f"{shown(path)}:{line}"
        for path in project_files("app")
        if path.suffix in (".py", ".html")
        for line in computed_texts(path.suffix, path.read_text(encoding="utf-8"))
    ]

    assert found == []


def computed_texts(suffix: str, source: str) -> list[int]:
    """Return the lines that translate something other than a written text."""
    if suffix == ".html":
        return [number for number, line in enumerate(source.splitlines(), 1) if COMPUTED.search(line)]
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    marked = (call for call in calls if getattr(call.func, "id", "") in translations.KEYWORDS and call.args)
    return [call.lineno for call in marked if not isinstance(call.args[0], ast.Constant)]


COMPUTED = re.compile(r"""(?<![\w.])(?:_|gettext|ngettext)\(\s*[^'"\s]""")


@pytest.mark.parametrize(
    ("suffix", "source", "lines"),
    [
        (".py", "_('Save')\n_l(label)\n_(f'{x} left')", [2, 3]),
        (".html", "{{ _('Save') }}\n{{ _(label) }}\n{{ form_(x) }}", [2]),
    ],
)
def test_computed_texts_are_found(suffix: str, source: str, lines: list[int]) -> None:
    assert computed_texts(suffix, source) == lines


@pytest.mark.parametrize("language", ["zh", "zh_Hant"])
def test_chinese_texts_contain_no_forgotten_words(language: str) -> None:
    forgotten = {source: words for source, text in pairs(language) if (words := latin_words(text))}

    assert forgotten == {}


def test_simplified_texts_are_simplified() -> None:
    assert {text for _, text in pairs("zh") if not all(map(is_simplified, text))} == set()


def test_traditional_texts_are_traditional() -> None:
    assert {text for _, text in pairs("zh_Hant") if not all(map(is_traditional, text))} == set()


@pytest.mark.parametrize(
    ("text", "simplified", "traditional"),
    [
        ("已预约，稍后再试", True, False),
        ("已預約，稍後再試", False, True),
        ("之后", True, False),
        ("门店", True, False),
        ("包間", False, True),
        ("待使用 %(count)s Wi-Fi", True, True),
    ],
)
def test_scripts_are_told_apart(text: str, simplified: bool, traditional: bool) -> None:
    assert all(map(is_simplified, text)) is simplified
    assert all(map(is_traditional, text)) is traditional


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("请填写 JSON，%(count)s 项", set()),
        ("Wi-Fi", set()),
        ("Please choose", {"Please", "choose"}),
        ("保存 failed", {"failed"}),
    ],
)
def test_forgotten_words_are_found(text: str, words: set[str]) -> None:
    assert latin_words(text) == words


def test_chinese_texts_use_the_glossary() -> None:
    own = {
        translations.ids(message)[0]
        for message in translations.messages(translations.load("zh"))
        if any(path.startswith("app/") for path, _ in message.locations)
    }
    found = {
        (source, text): terms
        for source, text in pairs("zh")
        if source in own and OUTSIDE_GLOSSARY.get(source) != text and (terms := missing_terms(source, text))
    }

    assert found == {}


def test_missing_terms_are_found() -> None:
    assert missing_terms("This voucher was redeemed in another store.", "该优惠券已在其他店使用。") == [
        "门店",
        "团购券",
        "核销",
    ]
    assert missing_terms("Room types", "房型") == []


def test_compiled_files_are_committed() -> None:
    """The product reads them as they are; nothing is built before it starts."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()

    assert all(translations.mo_path(language).exists() for language in translations.LANGUAGES)
    assert not {"*.mo", "translations/"} & set(ignored)
