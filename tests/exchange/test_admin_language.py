"""The pages speak Vietnamese throughout, and English for whoever chooses it; guessing passwords is slow."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from exchange.models import Delivery, Event
from tests.exchange.test_admin_documents import address, expired, person
from tests.world import World

pytestmark = pytest.mark.once

# What is the same in Vietnamese: names of formats and techniques, and the names of the test world's systems.
KNOWN = {
    "id",
    "sha",
    "ctrl",
    "json",
    "jws",
    "ed",
    "edxml",
    "kh",
    "test",
    "h",
    "hub",
    "http",
    "https",
    "url",
    "oauth",
    "client",
    "secret",
    "webhook",
    "tls",
    "pdf",
    "vn",
    "xml",
    "byte",
    "checkpoint",
    "email",
    "log",
    "crl",
    "ca",
    "vxp",
    "systemid",
    "root",
    "of",
    "clerk",
    "auditor",
    "operator",
    "registrar",
    "office",
    "transport",
    "health",
    "district",
    "agency",
    "en",
    "english",
    "send",
    "receive",
    "directory",
    "audit",
    "system",
    "esc",
    "text",
    "plain",
    "csv",
    "xlsx",
    "qr",
    "pem",
    "der",
    "sms",
    "ip",
}
_VIETNAMESE = re.compile(r"[àáảãạăắằẳẵặâấầẩẫậđèéẻẽẹêếềểễệìíỉĩịòóỏõọôốồổỗộơớờởỡợùúủũụưứừửữựỳýỷỹỵ]", re.I)
# Words of English pages that are no Vietnamese syllable: a closed list of what Django and unfold say.
ENGLISH = {
    "the",
    "and",
    "with",
    "your",
    "you",
    "are",
    "this",
    "that",
    "from",
    "have",
    "has",
    "been",
    "search",
    "filter",
    "filters",
    "apply",
    "cancel",
    "close",
    "save",
    "add",
    "change",
    "delete",
    "view",
    "history",
    "home",
    "welcome",
    "back",
    "sign",
    "log",
    "out",
    "password",
    "username",
    "email",
    "first",
    "last",
    "name",
    "staff",
    "status",
    "active",
    "permissions",
    "groups",
    "select",
    "all",
    "none",
    "selected",
    "actions",
    "action",
    "results",
    "result",
    "found",
    "no",
    "yes",
    "any",
    "previous",
    "next",
    "page",
    "pages",
    "of",
    "total",
    "show",
    "more",
    "less",
    "loading",
    "dark",
    "light",
    "theme",
    "system",
    "site",
    "administration",
    "models",
    "application",
    "applications",
    "recent",
    "type",
    "today",
    "yesterday",
    "past",
    "days",
    "week",
    "month",
    "year",
    "date",
    "time",
    "please",
    "enter",
    "correct",
    "below",
    "errors",
    "error",
    "field",
    "required",
    "unknown",
    "object",
    "toggle",
    "sidebar",
    "menu",
    "language",
    "navigation",
    "logout",
    "login",
    "reset",
    "clear",
    "options",
    "open",
    "value",
    "values",
    "empty",
    "submit",
    "download",
    "upload",
    "file",
    "choose",
    "record",
    "records",
    "row",
    "rows",
    "count",
} - {"to", "in", "on", "no", "than", "of", "log", "system", "site", "open", "file", "type", "row", "week"}


class Seen(HTMLParser):
    """What a person reads or hears of a page: text, titles, labels, placeholders."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hidden = 0
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.hidden += tag in ("script", "style", "pre") or "material-symbols-outlined" in (
            given.get("class") or ""
        )
        self.words += [
            given[name] or "" for name in ("title", "aria-label", "placeholder", "alt") if name in given
        ]

    def handle_endtag(self, tag: str) -> None:
        # Icons are spans; their end closes what their start opened.
        if self.hidden and tag in ("script", "style", "pre", "span"):
            self.hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)


def english(page: str) -> set[str]:
    """The English words of `page`, with the line that they stand in."""
    found = set()
    for text in Seen(page).words:
        words = re.findall(r"[^\W\d_]+", text.lower())
        if any(word in ENGLISH and word not in KNOWN for word in words) and not _VIETNAMESE.search(text):
            found.add(" ".join(text.split()))
    return found


def main_pages(hub: World) -> dict[str, list[str]]:
    """The pages that people of each role look at every day."""
    package = expired(hub, "H29.5", "H29.17")
    row, event = Delivery.objects.filter(package=package)[0], Event.objects.filter(package=package.pk)[0]
    agency, system = hub.agencies["H29"], hub.systems["health"]
    page = f"/admin/exchange/package/{package.pk}/change/"
    clerk = ["/admin/", "/admin/exchange/package/", "/admin/exchange/package/?q=khongco", page]
    clerk += [
        address(package, "resend"),
        "/admin/exchange/delivery/",
        f"/admin/exchange/delivery/{row.pk}/change/",
    ]
    clerk += ["/admin/exchange/event/", f"/admin/exchange/event/{event.pk}/change/", "/admin/quick/?q=x"]
    certificate = agency.certificates.get()
    return {
        "clerk": clerk,
        "operator": ["/admin/", "/admin/health/", f"/admin/agencies/system/{system.pk}/change/"],
        "registrar": [
            "/admin/",
            "/admin/agencies/agency/",
            f"/admin/agencies/agency/{agency.pk}/change/",
            "/admin/agencies/system/",
            f"/admin/agencies/system/{system.pk}/rotate/",
            "/admin/agencies/certificate/",
            f"/admin/agencies/certificate/{certificate.pk}/change/",
            f"/admin/agencies/certificate/{certificate.pk}/revoke/",
            "/admin/password_change/",
        ],
    }


def test_no_page_of_any_day_has_an_english_word(hub: World) -> None:
    found = {}
    for role, paths in main_pages(hub).items():
        client = person(role, hub.agencies["H29"])
        for path in paths:
            response = client.get(path)
            assert response.status_code == 200, path
            if words := english(response.content.decode()):
                found[path] = words
    sign_in = english(Client().get("/admin/login/").content.decode())
    assert {**found, **({"/admin/login/": sign_in} if sign_in else {})} == {}


def test_the_check_does_find_english_words() -> None:
    assert english("<p>Please enter the correct value</p><p>Văn bản</p>") == {
        "Please enter the correct value"
    }
    assert english('<input placeholder="Type to search"><span>Số/ký hiệu</span>') == {"Type to search"}


# --- signing in -----------------------------------------------------------------------------------------


def sign_in(password: str, place: str = "192.0.2.1") -> bool:
    """Whether `password` lets van.thu in from `place`."""
    client = Client(REMOTE_ADDR=place)
    client.post("/admin/login/", {"username": "van.thu", "password": password, "next": "/admin/"})
    return "_auth_user_id" in client.session


def test_after_ten_wrong_passwords_the_right_one_waits_too_but_not_from_elsewhere(db: None) -> None:
    User.objects.create_user("van.thu", password="mot-mat-khau-dai-2026", is_staff=True)
    assert sign_in("mot-mat-khau-dai-2026")
    assert not any(sign_in(f"sai {number}") for number in range(10))
    assert not sign_in("mot-mat-khau-dai-2026")
    assert sign_in("mot-mat-khau-dai-2026", place="192.0.2.2")


def test_a_session_ends_with_the_browser_and_within_a_working_day(db: None) -> None:
    User.objects.create_user("van.thu", password="mot-mat-khau-dai-2026", is_staff=True)
    client = Client()
    client.post(
        "/admin/login/", {"username": "van.thu", "password": "mot-mat-khau-dai-2026", "next": "/admin/"}
    )
    assert client.session.get_expire_at_browser_close()
    assert client.cookies["sessionid"]["max-age"] == ""


@pytest.mark.parametrize(("chosen", "words"), [("vi", "Chờ gửi"), ("en", "Waiting")])
def test_the_overview_speaks_the_chosen_language(hub: World, chosen: str, words: str) -> None:
    client = person("clerk", hub.agencies["H29"])
    client.post("/i18n/setlang/", {"language": chosen, "next": "/admin/"})
    assert words in client.get("/admin/").content.decode()
