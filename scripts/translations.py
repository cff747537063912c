"""Keep the catalogues of translations complete: extract, update, compile and check."""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "translations"
# The source is English: what has no better wording is shown as it is written there.
SOURCE_LANGUAGE = "en"
LANGUAGES = ("zh", "zh_Hant", SOURCE_LANGUAGE)

KEYWORDS = {
    "_": None,
    "_l": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "lazy_ngettext": (1, 2),
}
FRAMEWORK_FILES = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
# A compiled catalogue has a date in its header; a fixed one keeps the file the same from build to build.
NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\{\w+\}")

Texts = tuple[str, ...]


def package_folder(name: str) -> Path:
    """Return where an installed package lies, without importing it."""
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None, f"{name} is not installed"
    return Path(spec.origin).parent


def extract() -> Catalog:
    """Return the template: the product's own texts, then those that its frameworks may show."""
    template = Catalog(fuzzy=False)
    add_product(template)
    add_back_office(template)
    add_forms(template)
    return template


def add_product(template: Catalog) -> None:
    """Add what babel.cfg names."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    for path, _, text, _, _ in extract_from_dir(ROOT, methods, options, KEYWORDS):
        template.add(text, locations=[(path, 1)])


def add_back_office(template: Catalog) -> None:
    """Add Flask-AppBuilder's texts: its own catalogues have gaps, one error and no Traditional Chinese."""
    folder = package_folder("flask_appbuilder")
    for path, _, text, _, _ in extract_from_dir(folder, FRAMEWORK_FILES, {}, KEYWORDS):
        template.add(text, locations=[(f"flask_appbuilder/{path}", 1)])


def add_forms(template: Catalog) -> None:
    """Add the messages of WTForms, from the template that it ships."""
    with (package_folder("wtforms") / "locale" / "wtforms.pot").open("rb") as file:
        for message in read_po(file):
            if message.id:
                places = [(path.removeprefix("src/"), 1) for path, _ in message.locations]
                template.add(message.id, locations=places)


def messages(catalogue: Catalog) -> Iterator[Message]:
    """Yield the messages of a catalogue without its header."""
    return (message for message in catalogue if message.id)


def ids(message: Message) -> Texts:
    """Return the source texts of a message: one, or singular and plural."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def strings(message: Message) -> Texts:
    """Return the translated texts of a message; none unless it is translated in full."""
    texts = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
    return texts if all(texts) else ()


def po_path(language: str) -> Path:
    """Return the file that people edit."""
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


def mo_path(language: str) -> Path:
    """Return the compiled file that the product reads."""
    return po_path(language).with_suffix(".mo")


def load(language: str) -> Catalog:
    """Return the catalogue of a language; an empty one where there is no file yet."""
    path = po_path(language)
    if not path.exists():
        return Catalog(locale=language, fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def po_bytes(catalogue: Catalog) -> bytes:
    """Return the text of a catalogue: sorted, without dates and line numbers, so that only words differ."""
    file = io.BytesIO()
    write_po(file, catalogue, width=110, omit_header=True, sort_output=True, include_lineno=False)
    fields = {
        "Language": str(catalogue.locale_identifier),
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": catalogue.plural_forms,
    }
    header = "".join(f'"{name}: {value}\\n"\n' for name, value in fields.items())
    return f'msgid ""\nmsgstr ""\n{header}\n'.encode() + file.getvalue()


def mo_bytes(catalogue: Catalog) -> bytes:
    """Return a catalogue as the product reads it."""
    catalogue.creation_date = catalogue.revision_date = NO_DATE
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def fill_from_source(catalogue: Catalog) -> None:
    """Give the source language the source's own words where nobody wrote better ones."""
    for message in messages(catalogue):
        if not strings(message):
            message.string = message.id


def update(template: Catalog) -> None:
    """Bring the edited files up to the template; new texts are left empty, those no longer used go."""
    for language in LANGUAGES:
        catalogue = load(language)
        catalogue.update(template, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        if language == SOURCE_LANGUAGE:
            fill_from_source(catalogue)
        po_path(language).parent.mkdir(parents=True, exist_ok=True)
        po_path(language).write_bytes(po_bytes(catalogue))


def compile_all() -> None:
    """Write the files that the product reads."""
    for language in LANGUAGES:
        mo_path(language).write_bytes(mo_bytes(load(language)))


def placeholders(text: str) -> list[str]:
    """Return the places of a text that are filled in later, sorted."""
    return sorted(PLACEHOLDER.findall(text))


def flaws(message: Message) -> list[str]:
    """Return what is wrong with one translation."""
    if not strings(message):
        return ["is not translated"]
    if message.fuzzy:
        return ["is marked as fuzzy"]
    # Where a language has one form for all numbers, it is the plural's.
    wanted = placeholders(ids(message)[-1])
    if any(placeholders(text) != wanted for text in strings(message)):
        return [f"must keep {' '.join(wanted) or 'no placeholder'}"]
    return []


def complaints_about(catalogue: Catalog, template: Catalog) -> list[str]:
    """Return what keeps a catalogue from being complete."""
    wanted, present = ({ids(one) for one in messages(each)} for each in (template, catalogue))
    found = [f"{text[0]!r} is missing" for text in sorted(wanted - present)]
    found += [f"{text[0]!r} is no longer used" for text in sorted(present - wanted)]
    for message in messages(catalogue):
        found += [f"{ids(message)[0]!r} {flaw}" for flaw in flaws(message)]
    return found


def is_compiled(language: str) -> bool:
    """Tell whether the compiled file says the same as the edited one."""
    if not mo_path(language).exists():
        return False
    with mo_path(language).open("rb") as file:
        compiled = {ids(one): strings(one) for one in messages(read_mo(file))}
    edited = {ids(one): strings(one) for one in messages(load(language))}
    return compiled == {text: translated for text, translated in edited.items() if translated}


def complaints(template: Catalog) -> list[str]:
    """Return what is wrong with the catalogues, each line beginning with its language."""
    found = []
    for language in LANGUAGES:
        found += [f"{language}: {text}" for text in complaints_about(load(language), template)]
        found += [] if is_compiled(language) else [f"{language}: the compiled file is out of date"]
    return found


def main(arguments: list[str]) -> int:
    """Run the named steps in their order; without a name, update, compile and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = ("extract", "update", "compile", "check")
    parser.add_argument("steps", nargs="*", metavar="step", help=f"any of: {', '.join(steps)}")
    wanted = parser.parse_args(arguments).steps or ["update", "compile", "check"]
    if unknown := set(wanted) - set(steps):
        parser.error(f"unknown step: {', '.join(sorted(unknown))}")
    template = extract()
    if "extract" in wanted:
        sys.stdout.buffer.write(po_bytes(template))
    if "update" in wanted:
        update(template)
    if "compile" in wanted:
        compile_all()
    found = complaints(template) if "check" in wanted else []
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
