"""Every text of the pages has an English translation, and the compiled catalogues are of these sources."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

from exchange.admin.events import reason_words
from exchange.lifecycle import REASONS

ROOT = Path(__file__).parents[2]
LOCALE = ROOT / "exchange" / "locale"
FUNCTIONS = {"_", "gettext", "gettext_lazy"}
# What needs none: the same in both languages, or a text of Django, whose own catalogues have it.
SAME = {"CSV", "Excel (.xlsx)", "JSON", "PDF", "checkpoint", "client_id"}
DJANGOS = {"exchange/templates/admin/login.html"}
_ENTRY = re.compile(r'^(msgid|msgstr) ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.MULTILINE)
_CALL = re.compile(r"""\bgettext\((u?(?:'''.*?'''|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))""", re.DOTALL)
_VALUE = re.compile(r"%\(\w+\)s")


def catalogue(path: Path) -> dict[str, str]:
    """The texts of a .po file and what they are translated to."""
    parts = [(kind, ast.literal_eval(f"({text})")) for kind, text in _ENTRY.findall(path.read_text())]
    texts = [text for kind, text in parts if kind == "msgid"]
    return dict(zip(texts, [text for kind, text in parts if kind == "msgstr"], strict=True))


def used() -> Iterator[tuple[str, str]]:
    """Every text that code or templates ask a translation of, and where."""
    for folder in ("exchange", "agencies"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield from ((text, str(path.relative_to(ROOT))) for text in asked(path.read_text()))
    for path in sorted((ROOT / "exchange" / "templates").rglob("*.html")):
        # Calls of gettext, among characters that stand for the rest.
        calls = _CALL.findall(templatize(path.read_text()))
        yield from ((str(ast.literal_eval(call)), str(path.relative_to(ROOT))) for call in calls)


def asked(source: str) -> Iterator[str]:
    """The texts in calls of the functions that translate."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in FUNCTIONS and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


@pytest.fixture(scope="module")
def english() -> dict[str, str]:
    return catalogue(LOCALE / "en" / "LC_MESSAGES" / "django.po")


def test_every_text_has_an_english_translation(english: dict[str, str]) -> None:
    missing = {(place, text) for text, place in used() if not english.get(text) and text not in SAME}
    assert sorted((place, text) for place, text in missing if place not in DJANGOS) == []


def test_no_translation_is_of_a_text_that_is_gone(english: dict[str, str]) -> None:
    assert sorted(english.keys() - {text for text, _place in used()} - {""}) == []


def test_translations_name_the_same_values(english: dict[str, str]) -> None:
    pairs = [(text, told) for text, told in english.items() if text]
    assert [text for text, told in pairs if set(_VALUE.findall(text)) != set(_VALUE.findall(told))] == []


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_compiled_catalogue_is_that_of_its_source(language: str, tmp_path: Path) -> None:
    folder = LOCALE / language / "LC_MESSAGES"
    made = tmp_path / "django.mo"
    subprocess.run(("msgfmt", "--check-format", "-o", made, folder / "django.po"), check=True)
    assert made.read_bytes() == (folder / "django.mo").read_bytes()


def test_every_reason_of_an_event_has_words() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "exchange").glob("*.py"))
    codes = {*REASONS.values(), *re.findall(r'\breason ?= ?"([a-z]+\.[a-z-]+)"', sources)}
    codes |= {f"retention.{kind}" for kind in ("document", "status", "hub")}
    assert len(codes) > 10
    assert sorted(code for code in codes if reason_words(code) == code) == []


def test_texts_are_found_in_code_and_templates() -> None:
    assert list(asked('x = _("a" "b") + gettext("c") % other(_(name))')) == ["ab", "c"]
    found = templatize(
        '{% load i18n %}{% translate "d" %}{% blocktranslate with n=m %}e {{ n }}{% endblocktranslate %}'
    )
    assert [ast.literal_eval(call) for call in _CALL.findall(found)] == ["d", "e %(n)s"]
