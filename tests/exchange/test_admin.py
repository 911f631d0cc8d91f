"""The admin site: who sees what, and that looking changes nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import formats, translation
from django.utils.translation import gettext

from agencies.models import Agency, Certificate, Membership, System
from exchange.admin import base, scope
from exchange.admin.language import LanguageMiddleware
from exchange.admin.looks import shown
from exchange.envelope import package as envelope
from exchange.envelope.codes import BusinessType
from exchange.models import Attempt, Delivery, Event, Outcome, Package
from tests.world import NOW, World, answer_to

SUBJECT = "Kế hoạch bảo đảm <b>an toàn</b> năm 2026"
ROLES = ("clerk", "auditor", "operator", "registrar")
RECORDS = (Package, Delivery, Event, Agency, System, Certificate)
# Kinds of page by what each role may open; a clerk is told apart by agency below.
OPENS: dict[str, set[type[Model]]] = {
    "clerk": {Package, Delivery, Event},
    "auditor": set(RECORDS),
    "operator": {Delivery, System},
    "registrar": {Agency, System, Certificate},
}


@dataclass(frozen=True, slots=True)
class Pages:
    """A document from H29 to H29.5 and H29.17, one from H29.5 to H29.121, and people who look."""

    package: Package
    other: Package
    people: dict[str, Client]

    def get(self, who: str, url: str) -> Any:
        """What `who` gets at `url`."""
        return self.people[who].get(url)

    def delivery(self, recipient: str) -> Delivery:
        """The delivery of the first document to `recipient`."""
        return Delivery.objects.get(package=self.package, recipient__code=recipient)


@pytest.fixture
def pages(hub: World) -> Pages:
    sent = hub.send("H29", "H29.5", "H29.17", subject=SUBJECT)
    hub.accept(hub.status("H29.5", "02", answer_to(sent), description="Gửi nhầm nơi"), "H29.5")
    other = hub.send("H29.5", "H29.121", subject="Chuyện riêng hai nơi")
    delivery = Delivery.objects.get(package=sent.package, recipient__code="H29.17")
    Attempt.objects.create(
        delivery=delivery,
        number=1,
        url="http://127.0.0.1:9/",
        outcome=Outcome.UNREACHABLE,
        detail="Connection <refused>",
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=1),
    )
    people = {f"clerk {code}": _person("clerk", agency) for code, agency in hub.agencies.items()}
    people |= {role: _person(role) for role in ROLES if role != "clerk"}
    people["superuser"] = _client(User.objects.create_superuser("root-of-tests"))
    people["anonymous"] = Client()
    return Pages(sent.package, other.package, people)


def _person(role: str, agency: Agency | None = None) -> Client:
    user = User.objects.create(username=f"{role}-{agency and agency.code}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    if agency:
        Membership.objects.create(user=user, agency=agency)
    return _client(user)


def _client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _list(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def _page(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=(row.pk,))


def _text(response: Any) -> str:
    assert response.status_code == 200, response
    return re.sub(r"\s+", " ", response.content.decode())


def _everything() -> dict[str, list[Any]]:
    """Every row of every table; the session store and its date of last login are part of it."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values()) for model in apps.get_models()
    }


def _addresses() -> Iterator[str]:
    """Every address of the admin, with ids of rows that exist where it wants some."""
    ids = {model: row.pk for model in RECORDS if (row := model._default_manager.order_by("pk").first())}
    for pattern, model in _patterns(get_resolver().url_patterns):
        yield _filled("/" + pattern, ids.get(model) if model else None)


def _patterns(found: list[Any], prefix: str = "", model: Any = None) -> Iterator[tuple[str, Any]]:
    for entry in found:
        text = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry.url_patterns, text, _model_of(text))
        elif isinstance(entry, URLPattern) and text.startswith("admin/"):
            yield text, model


def _model_of(prefix: str) -> type[Model] | None:
    parts = prefix.strip("/").split("/")
    return apps.get_model(parts[1], parts[2]) if len(parts) == 3 else None


def _filled(pattern: str, pk: Any) -> str:
    pattern = re.sub(r"\(\?P<\w+>[^)]*\)\$?", "x", pattern)
    pattern = re.sub(r"<path:content_type_id>", "1", pattern)
    return re.sub(r"<(\w+:)?\w+>", str(pk or 1), pattern).replace("^", "").replace("$", "")


@pytest.mark.once
def test_a_get_changes_nothing_for_anybody(pages: Pages) -> None:
    addresses = list(_addresses())
    assert len(addresses) > 40
    content = reverse("admin:exchange_package_content", args=(pages.package.pk,))
    for who in ("anonymous", "clerk H29", "clerk H29.121", "auditor", "operator", "registrar", "superuser"):
        client, before = pages.people[who], _everything()
        for address in addresses:
            if address.endswith("/content/") or address.endswith("/logout/"):
                continue
            response = client.get(address, headers={"accept-language": "vi"})
            assert response.status_code in (200, 302, 403, 404, 405), (who, address)
            if who == "anonymous" and response.status_code == 200:
                assert "/login/" in address or "/jsi18n/" in address, address
        assert _everything() == before, who
    assert content.replace(str(pages.package.pk), "") in {
        re.sub(r"[0-9a-f-]{36}", "", address) for address in addresses
    }


@pytest.mark.once
def test_no_address_shows_a_clerk_the_document_of_others(pages: Pages) -> None:
    """Every address of the admin, asked for with the ids of a document between two other agencies."""
    secret = "Kế hoạch bảo đảm"
    assert secret in SUBJECT
    stranger, party = pages.people["clerk H29.10"], pages.people["clerk H29.5"]
    assert secret in _text(party.get(_page(pages.package)))
    for address in _addresses():
        response = stranger.get(address, follow=True)
        body = b"".join(response) if response.streaming else response.content
        assert secret not in body.decode(errors="replace"), address
        assert str(pages.package.pk).encode() not in body.replace(address.encode(), b""), address


@pytest.mark.once
def test_a_post_to_a_record_is_refused_to_everybody(pages: Pages) -> None:
    before = _everything()
    for who, client in pages.people.items():
        for model in RECORDS:
            row = model._default_manager.order_by("pk").first()
            assert row is not None
            for url in (_page(row), _list(model) + "add/", _page(row).replace("/change/", "/delete/")):
                status = client.post(url, {"subject": "x", "post": "yes"}).status_code
                assert status in (302, 403, 404), (who, url)
                assert status != 302 or who == "anonymous", (who, url)
            client.post(_list(model), {"action": "delete_selected", "_selected_action": [row.pk]})
    assert _everything() == before


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_its_kinds_of_record_only(pages: Pages, role: str) -> None:
    who = "clerk H29" if role == "clerk" else role
    opened = {model for model in RECORDS if pages.get(who, _list(model)).status_code == 200}
    assert opened == OPENS[role]


@pytest.mark.parametrize(
    ("who", "visible"),
    [("H29", 200), ("H29.5", 200), ("H29.17", 200), ("H29.121", 404), ("H29.10", 404)],
)
def test_a_document_is_there_for_its_parties_and_not_found_for_others(
    pages: Pages, who: str, visible: int
) -> None:
    events = Event.objects.filter(package=pages.package.pk, delivery=None)
    assert pages.get(f"clerk {who}", _page(pages.package)).status_code == visible
    assert pages.get(f"clerk {who}", _page(events[0])).status_code == visible
    url = reverse("admin:exchange_package_content", args=(pages.package.pk,))
    response = pages.get(f"clerk {who}", url)
    assert response.status_code == visible
    assert not response.streaming or b"".join(response.streaming_content)  # read to its end: closed
    history = _page(pages.package).replace("/change/", "/history/")
    assert pages.get(f"clerk {who}", history).status_code == visible


def test_the_sender_sees_every_delivery_and_a_recipient_its_own(pages: Pages) -> None:
    ours, theirs = pages.delivery("H29.5"), pages.delivery("H29.17")
    for delivery in (ours, theirs):
        assert pages.get("clerk H29", _page(delivery)).status_code == 200
    assert pages.get("clerk H29.17", _page(theirs)).status_code == 200
    assert pages.get("clerk H29.17", _page(ours)).status_code == 404
    events = Event.objects.filter(delivery=ours.pk)
    assert events
    assert {pages.get("clerk H29.17", _page(event)).status_code for event in events} == {404}


def test_a_recipient_is_not_told_what_the_other_recipients_answered(pages: Pages) -> None:
    sender = _text(pages.get("clerk H29", _page(pages.package)))
    recipient = _text(pages.get("clerk H29.17", _page(pages.package)))
    assert "0/2 đã tiếp nhận, 1 từ chối" in sender
    assert "Gửi nhầm nơi" in sender
    assert "0/1 đã tiếp nhận" in recipient
    for secret in ("Gửi nhầm nơi", "Từ chối tiếp nhận", "Sở Giao thông vận tải"):
        assert secret not in recipient
        assert secret not in _text(pages.get("clerk H29.17", _list(Event)))


def test_lists_and_searches_show_only_what_is_visible(pages: Pages) -> None:
    for question in ("", "?q=Chuyện", f"?q={pages.other.code}", "?show=unaccepted", "?q=chuyen+rieng"):
        assert "Chuyện riêng" not in _text(pages.get("clerk H29", _list(Package) + question))
    assert "Chuyện riêng" in _text(pages.get("clerk H29.121", _list(Package) + f"?q={pages.other.code}"))
    assert "Chuyện riêng" in _text(pages.get("auditor", _list(Package) + "?q=giao thong"))
    assert "Chuyện riêng" not in _text(pages.get("auditor", _list(Package) + "?q=khongco"))


def test_an_operator_sees_that_deliveries_move_and_not_what_they_carry(pages: Pages) -> None:
    for url in (_list(Delivery), _page(pages.delivery("H29.17"))):
        text = _text(pages.get("operator", url))
        assert "Sở Y tế" in text
        for secret in ("an toàn", pages.package.code, pages.package.document_id):
            assert secret not in text
    probe = _list(Delivery) + "?package__subject__contains=an"
    assert pages.get("operator", probe).status_code == 400


def test_a_clerk_who_is_also_an_operator_still_reads_only_the_own_documents(pages: Pages) -> None:
    user = User.objects.get(username="clerk-H29.121")
    user.groups.add(Group.objects.get(name="operator"))
    assert pages.get("clerk H29.121", _page(pages.delivery("H29.17"))).status_code == 404


def test_a_clerk_of_no_agency_sees_nothing(pages: Pages) -> None:
    client = _person("clerk")
    assert "Chưa có văn bản nào" in _text(client.get(_list(Package)))
    assert client.get(_page(pages.package)).status_code == 404


def test_the_document_page_tells_the_story_in_vietnamese(pages: Pages) -> None:
    text = _text(pages.get("clerk H29", _page(pages.package)))
    for words in (
        "hệ thống transport",
        "Nơi nhận",
        "Diễn biến",
        "Trục đã tiếp nhận gói tin",
        "Bên nhận từ chối (02)",
        "Chữ ký hợp lệ",
        "Gói tin liên quan",
        "Kế hoạch bảo đảm &lt;b&gt;an toàn&lt;/b&gt;",
        "23/11/2026 09:00",
    ):
        assert words in text
    assert text.index("Sở Giao thông vận tải") < text.index("Sở Y tế")  # the refusal first


def _replied(hub: World, now: datetime) -> tuple[Package, Package]:
    """A document of H29 that asks H29.5 for a reply by 1 December, and the reply, which H29.121 gets too."""
    asked = hub.send("H29", "H29.5", due_date=date(2026, 12, 1), subject="Điều chỉ hai nơi biết")
    reply = hub.send("H29.5", "H29", "H29.121", responses=[answer_to(asked)], now=now)
    return asked.package, reply.package


@pytest.mark.parametrize(
    ("now", "words", "others"),
    [
        (datetime(2026, 12, 1, 16, 59, tzinfo=UTC), "Đúng hạn (01/12/2026)", "Trễ hạn"),
        (datetime(2026, 12, 1, 17, 0, tzinfo=UTC), "Trễ hạn (01/12/2026)", "Đúng hạn"),
    ],
)
def test_a_document_and_its_reply_lead_to_each_other_and_tell_whether_it_was_in_time(
    pages: Pages, hub: World, now: datetime, words: str, others: str
) -> None:
    asked, reply = _replied(hub, now)
    for who in ("clerk H29", "clerk H29.5", "auditor"):
        for row, other in ((asked, reply), (reply, asked)):
            text = _text(pages.get(who, _page(row)))
            assert f'href="{_page(other)}"' in text
            assert words in text
            assert others not in text


def test_who_got_only_the_reply_learns_nothing_of_the_document(pages: Pages, hub: World) -> None:
    asked, reply = _replied(hub, NOW)
    text = _text(pages.get("clerk H29.121", _page(reply)))
    for secret in (_page(asked), asked.code, "Đúng hạn", "01/12/2026"):
        assert secret not in text


def test_the_reply_page_of_a_recipient_hides_what_the_document_answers_in_turn(
    pages: Pages, hub: World
) -> None:
    first = hub.send("H29.121", "H29", due_date=date(2026, 12, 1))
    second = hub.send("H29", "H29.121", "H29.5", responses=[answer_to(first)])
    third = hub.send("H29.5", "H29", responses=[answer_to(second)])
    assert "Đúng hạn" in _text(pages.get("clerk H29", _page(third.package)))
    assert "Đúng hạn" not in _text(pages.get("clerk H29.5", _page(third.package)))


def test_the_recipients_table_shows_what_is_asked_by_when(pages: Pages, hub: World) -> None:
    code = envelope.Code("9", "TB-TEST")
    sent = hub.send("H29", "H29.5", code=code).package
    Delivery.objects.filter(package=sent).update(served_at=NOW)
    hub.send("H29", "H29.5", code=code, business=envelope.Business(BusinessType.RECALL))
    row = Delivery.objects.get(package=sent)
    assert row.request_due_at
    assert row.receipt_due_at
    text = _text(pages.get("clerk H29", _page(sent)))
    for words in ("Thu hồi: Đang chờ trả lời", shown(row.request_due_at), shown(row.receipt_due_at)):
        assert words in text


def test_a_page_with_many_replies_takes_no_more_queries(
    pages: Pages, hub: World, django_assert_max_num_queries: Any
) -> None:
    recipients = ("H29.5", "H29.17", "H29.121")
    asked = hub.send("H29", *recipients, due_date=date(2026, 12, 1))
    replies = [hub.send(code, "H29", responses=[answer_to(asked)]).package for code in recipients]
    for who in ("auditor", "clerk H29"):
        for row in (asked.package, replies[0]):
            with django_assert_max_num_queries(20):
                pages.get(who, _page(row))


def test_the_delivery_page_shows_what_was_sent_and_answered(pages: Pages) -> None:
    text = _text(pages.get("operator", _page(pages.delivery("H29.17"))))
    for words in ("Các lần gửi", "http://127.0.0.1:9/", "Connection &lt;refused&gt;", "Không kết nối được"):
        assert words in text


def test_attempts_stand_beside_the_one_that_is_chosen_by_its_link(pages: Pages) -> None:
    row = pages.delivery("H29.17")
    when = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=2)}
    facts = {"url": "http://127.0.0.1:9/", "outcome": Outcome.REJECTED, "http_status": 503}
    Attempt.objects.create(delivery=row, number=2, detail="busy", **facts, **when)
    newest, first = (
        _text(pages.get("operator", _page(row))),
        _text(pages.get("operator", _page(row) + "?attempt=1")),
    )
    for text in (newest, first):
        assert 'href="?attempt=1#attempts"' in text
        assert 'href="?attempt=2#attempts"' in text
    assert "busy" in newest
    assert "2,0 giây" in newest
    assert "Connection &lt;refused&gt;" in first
    assert "busy" not in first
    sender = _text(pages.get("clerk H29", _page(row)))
    assert "Nơi nhận báo lỗi" in sender
    for secret in ("http://127.0.0.1:9/", "busy"):
        assert secret not in sender


def test_the_agency_page_shows_old_codes_certificates_and_members(pages: Pages) -> None:
    text = _text(pages.get("registrar", _page(Agency.objects.get(code="H29.17"))))
    for words in ("000.00.17.H29", "Còn hiệu lực", "clerk-H29.17"):
        assert words in text
    assert "clerk-H29.17" not in _text(pages.get("auditor", _page(Agency.objects.get(code="H29.17"))))


def test_the_system_page_shows_credentials_without_secrets(pages: Pages, hub: World) -> None:
    client_id, _secret = hub.clients["health"]
    system = System.objects.get(name="health")
    credential = system.credentials.get()
    text = _text(pages.get("operator", _page(system)))
    assert client_id in text
    assert credential.client_secret not in text


def test_the_exact_bytes_of_an_event_are_shown_readable(pages: Pages) -> None:
    event = Event.objects.get(stream=pages.package.pk, seq=1)
    text = _text(pages.get("auditor", _page(event)))
    assert "&quot;event&quot;: &quot;SubmissionAcceptance&quot;" in text
    assert bytes(event.leaf).hex() in text


def test_opening_the_original_gives_the_exact_bytes_and_leaves_an_event(pages: Pages) -> None:
    url = reverse("admin:exchange_package_content", args=(pages.package.pk,))
    before = Event.objects.count()
    response = pages.get("clerk H29.5", url)
    raw = b"".join(response.streaming_content)
    assert len(raw) == pages.package.size
    assert response["Content-Disposition"].startswith("attachment")
    event = Event.objects.order_by("-id")[0]
    assert (event.name, Event.objects.count()) == ("AdminAccess", before + 1)
    assert str(pages.package.pk) in bytes(event.body.raw).decode()
    assert pages.get("auditor", _page(event)).status_code == 200
    assert pages.get("clerk H29", _page(event)).status_code == 404


def test_the_original_is_not_there_for_an_operator(pages: Pages) -> None:
    url = reverse("admin:exchange_package_content", args=(pages.package.pk,))
    assert pages.get("operator", url).status_code == 404


def test_every_record_is_shown_by_a_page_that_goes_through_the_scope() -> None:
    for model, page in admin.site._registry.items():
        if model not in (User, Group):
            assert isinstance(page, base.RecordAdmin), model
            assert type(page).get_queryset is base.RecordAdmin.get_queryset, model


def test_users_and_groups_are_for_superusers(pages: Pages) -> None:
    for model in (User, Group):
        statuses = {who: pages.get(who, _list(model)).status_code for who in pages.people}
        assert {who for who, status in statuses.items() if status == 200} == {"superuser"}


def test_a_kind_of_record_without_a_rule_is_not_shown(rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = User(is_superuser=True)
    with pytest.raises(KeyError):
        scope.visible(request, Group.objects.all())


def test_lists_count_at_most_ten_thousand_and_one(monkeypatch: pytest.MonkeyPatch, pages: Pages) -> None:
    monkeypatch.setattr(base, "COUNTED", 2)
    events = Event.objects.order_by("id")
    assert Event.objects.count() > 3
    assert base.BoundedPaginator(events, 50).count == 3
    assert Paginator(events, 50).count > 3
    assert base.BoundedPaginator([1, 2, 3, 4], 50).count == 4


def test_a_long_list_says_more_than_ten_thousand(monkeypatch: pytest.MonkeyPatch, pages: Pages) -> None:
    monkeypatch.setattr(base.BoundedPaginator, "count", 10_001)
    for question in ("", "?name=ContentConsignment"):
        text = _text(pages.get("auditor", _list(Event) + question))
        assert "trên 10.000" in text
        assert "10001" not in text


@pytest.mark.parametrize(("chosen", "words"), [("", "Bộ lọc"), ("en", "Filters"), ("xx", "Bộ lọc")])
def test_the_language_is_what_the_person_chose_and_not_what_the_browser_says(
    rf: RequestFactory, chosen: str, words: str
) -> None:
    request = rf.get("/admin/", headers={"accept-language": "en"})
    request.COOKIES["django_language"] = chosen
    with translation.override("vi"):
        LanguageMiddleware(lambda _: HttpResponse()).process_request(request)
        assert gettext("Filters") == words


@pytest.mark.parametrize("model", RECORDS)
def test_a_list_takes_the_same_few_queries_however_many_rows(
    pages: Pages, hub: World, model: type[Model], django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        hub.send("H29", "H29.5", "H29.17", "H29.121")
    chips = 6  # each counts within bounds
    with django_assert_max_num_queries(8 + chips):
        pages.get("auditor", _list(model))


def test_a_page_takes_a_bounded_number_of_queries(pages: Pages, django_assert_max_num_queries: Any) -> None:
    for who in ("auditor", "clerk H29"):
        for row in (pages.package, pages.delivery("H29.5"), Agency.objects.get(code="H29")):
            with django_assert_max_num_queries(20):
                pages.get(who, _page(row))


def test_the_sidebar_shows_what_a_person_may_open(pages: Pages) -> None:
    clerk = _text(pages.get("clerk H29", reverse("admin:index")))
    assert _list(Package) in clerk
    assert _list(System) not in clerk
    assert _list(User) not in clerk
    assert _list(User) in _text(pages.get("superuser", reverse("admin:index")))


def test_dates_are_read_and_written_day_first() -> None:
    with translation.override("vi"):
        moment = datetime(2026, 3, 4, 9, 3, tzinfo=UTC)
        assert formats.date_format(moment, "SHORT_DATETIME_FORMAT") == "04/03/2026 09:03"
        assert formats.get_format("DATE_INPUT_FORMATS")[0] == "%d/%m/%Y"
        assert formats.number_format(1234567, force_grouping=True) == "1.234.567"


GRANTED = {
    "clerk": {"resend_delivery", "withdraw_package", "remind_delivery"},
    "auditor": {"read_all"},
    "operator": {"watch_deliveries", "resend_delivery", "pause_system"},
    "registrar": {"rotate_credential", "revoke_certificate"},
}


@pytest.mark.parametrize("role", ROLES)
def test_the_roles_are_made_by_the_migrations_and_may_look_and_ask_and_nothing_else(
    db: None, role: str
) -> None:
    names = set(Group.objects.get(name=role).permissions.values_list("codename", flat=True))
    looking = {name for name in names if name.startswith("view_")}
    assert looking
    assert names - looking == GRANTED[role]
