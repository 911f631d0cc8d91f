"""Two ways to fold text so that equal things compare equal. Pure."""

import unicodedata
from functools import lru_cache

_D = str.maketrans("đĐ", "dD")


def fold(code: str) -> str:
    """An agency code as it is compared: NFC, without case and outer spaces. Marks stay: they belong to it."""
    composed = unicodedata.normalize("NFC", code.strip())
    return unicodedata.normalize("NFC", composed.casefold())


def fold_text(text: str) -> str:
    """Text as it is searched: lower case, no Vietnamese marks, đ as d, runs of spaces as one, NFC.

    Control characters count as spaces, invisible ones are dropped: neither can be typed into a search box.
    """
    decomposed = unicodedata.normalize("NFD", text.casefold()).translate(_D)
    kept = "".join(map(_searchable, decomposed))
    return unicodedata.normalize("NFC", " ".join(kept.split()))


@lru_cache(maxsize=4096)
def _searchable(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cc":
        return " "
    return "" if category == "Mn" or category[0] == "C" else char
