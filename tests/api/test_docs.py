"""docs/api.md lists what the code has; `python -m tests.api.test_docs` writes the lists anew."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import django
import pytest

from exchange.refusals import CATALOGUE

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def refusals() -> str:
    """The catalogue of refusals as a table."""
    rows = [f"| `{r.code}` | {r.status} | {r.title_en} | {r.en} |" for r in CATALOGUE.values()]
    return "\n".join(["| code | status | title | what it says |", "|---|---|---|---|", *rows])


def endpoints() -> str:
    """The operations of the OpenAPI description as a table."""
    from drf_spectacular.generators import SchemaGenerator  # needs the settings

    schema = SchemaGenerator().get_schema(public=True)
    rows = [
        f"| `{method.upper()} {path}` | {_scopes(item.get('security', [])) or 'public'} | {item['summary']} |"
        for path, by in schema["paths"].items()
        for method, item in by.items()
    ]
    return "\n".join(["| call | one of the scopes | what it does |", "|---|---|---|", *rows])


def _scopes(security: list[dict[str, list[str]]]) -> str:
    return " ".join(scope for choice in security for scope in choice["oauth2"])


LISTS: dict[str, Callable[[], str]] = {"refusals": refusals, "endpoints": endpoints}


def listed(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: [^>]*-->\n)(.*?)(\n<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", LISTS)
def test_the_guide_lists_what_the_code_has(name: str) -> None:
    found = listed(name).search(PAGE.read_text(encoding="utf-8"))
    assert found
    assert found[2] == LISTS[name](), "run: python -m tests.api.test_docs"


def write() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, make in LISTS.items():
        made = make()
        text = listed(name).sub(lambda match, made=made: match[1] + made + match[3], text)  # type: ignore[misc]
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    django.setup()
    write()
