"""A message that names its document badly (edXML reference 1.4, 1.7; quirks 7, 8, 9, 15)."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from exchange import intake, matching, registry
from exchange.envelope.codes import BusinessType
from exchange.envelope.package import Business, Code, Response
from exchange.models import Delivery
from exchange.refusals import Refused
from tests.exchange.parties import hand_over, look, recall, to, update
from tests.world import ACTOR, DAY, NOW, World, answer_to

CODE = Code("626", "KH-UBND")
OFFICIAL = "H29,2026/11/20,626/KH-UBND"


def told(hub: World, response: Response, speaker: str = "H29.5", code: str = "01") -> intake.Acceptance:
    return hub.accept(hub.status(speaker, code, response), speaker)


def text(number_and_notation: str) -> Code:
    return Code.from_text(number_and_notation)


# Each changes one thing, or several, of a well-made ResponseFor.
STATUSES: dict[str, Callable[[Response], Response]] = {
    "as it should be": lambda good: good,
    "only the DocumentId": lambda good: Response(document_id=good.document_id),
    "number and notation in one string": lambda good: replace(good, code=text("626/KH-UBND"), document_id=""),
    "number and notation swapped": lambda good: replace(good, code=text("KH-UBND/626"), document_id=""),
    "spaces and small letters": lambda good: replace(good, code=text(" 626 / kh-ubnd"), document_id=""),
    "old code of the issuer": lambda good: replace(good, organ_id="000.00.00.H29", document_id=""),
    "old code inside the DocumentId": lambda good: Response(
        document_id="000.00.00.H29,2026/11/20,626/KH-UBND", organ_id="000.00.00.H29"
    ),
    "DocumentId of the recipient's own scheme": lambda good: replace(good, document_id="GW-20261120-17"),
    "DocumentId is a UUID of the recipient": lambda good: replace(good, document_id=str(uuid4())),
    "DocumentId with the recipient's code": lambda good: replace(
        good, document_id="H29.5,2026/11/20,626/KH-UBND"
    ),
    "DocumentId with the notation only": lambda good: Response(
        organ_id="H29", document_id="H29,2026/11/20,KH-UBND", promulgation_date=DAY
    ),
    "organ and code swapped": lambda good: Response(
        organ_id="626/KH-UBND", code=text("H29"), promulgation_date=DAY
    ),
    "notation in the organ": lambda good: Response(
        organ_id="KH-UBND", code=text("H29"), promulgation_date=DAY, document_id="H29,2026/11/20,KH-UBND"
    ),
    "the speaker's own code as organ": lambda good: replace(good, organ_id="H29.5", document_id=""),
    "a parent's code as organ": lambda good: replace(good, organ_id="H29.10"),
    "no organ": lambda good: replace(good, organ_id="", document_id=""),
    "an unknown organ": lambda good: replace(good, organ_id="G99", document_id=""),
    "no date": lambda good: replace(good, promulgation_date=None, document_id=""),
    "day and month swapped": lambda good: replace(good, promulgation_date=date(2026, 1, 2), document_id=""),
    "only the number": lambda good: replace(good, code=text("626"), document_id=""),
}


@pytest.mark.parametrize("quirk", STATUSES)
def test_a_status_finds_its_document(hub: World, quirk: str) -> None:
    hub.send("H29", "H29.5", code=Code("626", "BC-SYT"), day=DAY - timedelta(days=1))
    hub.send("H29.17", "H29.5", code=CODE, day=DAY - timedelta(days=300))
    made = hub.send("H29", "H29.5", code=CODE, identifier=OFFICIAL)
    answered = told(hub, STATUSES[quirk](answer_to(made)))
    assert answered.package.about == made.package
    assert look(made.deliveries[0])[1] == "01"


@pytest.mark.parametrize(
    "code",
    [
        Code("626", "626/KH-UBND"),
        Code("", "626/KH-UBND"),
        Code("626/KH-UBND", ""),
        Code("626/KH-UBND", "KH-UBND"),
        Code("KH-UBND", "626"),
    ],
)
def test_a_document_whose_own_code_is_odd_is_found_by_the_right_one(hub: World, code: Code) -> None:
    made = hub.send("H29", "H29.5", code=code, identifier=str(uuid4()))
    told(hub, Response(organ_id="H29", code=text("626/KH-UBND"), promulgation_date=DAY))
    assert look(made.deliveries[0])[1] == "01"


@pytest.mark.parametrize(
    "written",
    ["12/2026/NQ-HỘI", "2026/NQ-HỘI/12", "nq-hội/12/2026", unicodedata.normalize("NFD", "12/2026/NQ-HỘI")],
)
def test_a_notation_may_hold_slashes_in_any_order_and_unicode_form(hub: World, written: str) -> None:
    made = hub.send("H29", "H29.5", code=Code("12", "2026/NQ-HỘI"))
    told(hub, Response(organ_id="H29", code=text(written), promulgation_date=DAY))
    assert look(made.deliveries[0])[1] == "01"


def test_small_integers_that_several_senders_use_are_told_apart(hub: World) -> None:
    theirs = hub.send("H29.17", "H29.5", identifier="53234", code=Code("1", "BC-SYT"))
    mine = hub.send("H29", "H29.5", identifier="53234", code=CODE)
    told(hub, Response(organ_id="H29", document_id="53234"))
    assert [look(made.deliveries[0])[1] for made in (theirs, mine)] == ["none", "01"]
    told(hub, Response(organ_id="", code=text("1/BC-SYT"), document_id="53234"))
    assert look(theirs.deliveries[0])[1] == "01"


def test_a_small_integer_without_more_is_ambiguous_and_the_candidates_are_listed(hub: World) -> None:
    hub.send("H29.17", "H29.5", identifier="53234", code=Code("1", "BC-SYT"))
    hub.send("H29", "H29.5", identifier="53234", code=CODE)
    with pytest.raises(Refused) as caught:
        told(hub, Response(document_id="53234"))
    assert caught.value.code == "document.ambiguous"
    candidates = str(caught.value.problems[0].facts["candidates"])
    assert "53234 (626/KH-UBND, H29)" in candidates and "53234 (1/BC-SYT, H29.17)" in candidates


def test_an_id_that_one_sender_used_twice_is_told_apart_by_the_code(hub: World) -> None:
    hub.agencies["H29"].duplicate_policy = "warn"
    hub.agencies["H29"].save()
    one = hub.send("H29", "H29.5", identifier="7", code=CODE)
    two = hub.send("H29", "H29.5", identifier="7", code=Code("627", "KH-UBND"))
    told(hub, answer_to(two))
    assert [look(made.deliveries[0])[1] for made in (one, two)] == ["none", "01"]


def test_an_id_that_means_one_document_and_a_code_that_means_another_are_refused(hub: World) -> None:
    one = hub.send("H29", "H29.5", identifier="7", code=CODE)
    two = hub.send("H29", "H29.5", identifier="8", code=Code("627", "KH-UBND"))
    with pytest.raises(Refused) as caught:
        told(hub, replace(answer_to(one), document_id="8"))
    assert caught.value.code == "document.ambiguous"
    assert [look(made.deliveries[0])[1] for made in (one, two)] == ["none", "none"]


WRONG: dict[str, Callable[[Response], Response]] = {
    "another year": lambda good: replace(good, promulgation_date=date(2025, 11, 20), document_id=""),
    "another issuer": lambda good: replace(good, organ_id="H29.17", document_id=""),
    "another number": lambda good: replace(
        good, code=text("627/KH-UBND"), document_id="H29,2026/11/20,KH-UBND"
    ),
    "an id of another issuer": lambda good: Response(organ_id="H29.17", document_id=good.document_id),
}


@pytest.mark.parametrize("quirk", WRONG)
def test_what_names_something_else_is_not_found_and_the_refusal_says_what_was_searched_for(
    hub: World, quirk: str
) -> None:
    made = hub.send("H29", "H29.5", code=CODE, identifier="626")
    response = WRONG[quirk](answer_to(made))
    with pytest.raises(Refused) as caught:
        told(hub, response)
    assert caught.value.code == "document.not-found"
    assert f"OrganId “{response.organ_id}”" in str(caught.value.problems[0].facts["searched"])
    assert look(made.deliveries[0])[1] == "none"


def test_a_code_that_was_given_to_another_agency_means_who_had_it_when_the_document_was_made(
    hub: World,
) -> None:
    by = registry.Change(ACTOR, NOW)
    moved = datetime(2026, 11, 22, tzinfo=UTC)
    registry.add_alias(hub.agencies["H29"], ("000.00.99.H29", None, moved), by=by)
    registry.add_alias(hub.agencies["H29.17"], ("000.00.99.H29", moved, None), by=by)
    made = hub.send("H29", "H29.5", code=CODE)
    told(hub, Response(organ_id="000.00.99.H29", code=text("626/KH-UBND"), promulgation_date=DAY))
    assert look(made.deliveries[0])[1] == "01"


# --- status 13 ----------------------------------------------------------------------------------------

TAKE_BACKS: dict[str, Response] = {
    "as it should be": Response("H29.5", CODE, DAY, OFFICIAL),
    "old code of the receiver": Response("000.00.05.H29", CODE, DAY, OFFICIAL),
    ".NET: receiver in Code, whole code in OrganId": Response(
        "626/KH-UBND", text("H29.5"), DAY, "H29.5,2026/11/20,626/KH-UBND"
    ),
    ".NET: receiver in Code, notation in OrganId": Response(
        "KH-UBND", text("H29.5"), DAY, "H29.5,2026/11/20,KH-UBND"
    ),
    ".NET with the old code of the receiver": Response(
        "KH-UBND", text("000.00.05.H29"), DAY, "000.00.05.H29,2026/11/20,KH-UBND"
    ),
    "swapped, with the right DocumentId": Response("626/KH-UBND", text("H29.5"), DAY, OFFICIAL),
    "receiver only inside the DocumentId": Response("KH-UBND", None, None, "H29.5,2026/11/20,626/KH-UBND"),
    "without a DocumentId": Response("H29.5", text("626/KH-UBND"), DAY),
}


@pytest.mark.parametrize("quirk", TAKE_BACKS)
def test_a_take_back_finds_document_and_receiver(hub: World, quirk: str) -> None:
    hub.send("H29", "H29.5", code=Code("600", "BC-UBND"))
    made = hub.send("H29", "H29.5", "H29.17", code=CODE, identifier=OFFICIAL)
    hub.accept(hub.status("H29", "13", TAKE_BACKS[quirk]))
    assert [look(to(made, code))[0] for code in ("H29.5", "H29.17")] == ["withdrawn", "queued"]


def test_a_take_back_that_names_no_receiver_is_refused_unless_there_is_only_one(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17", identifier="one")
    with pytest.raises(Refused) as caught:
        hub.accept(hub.status("H29", "13", Response(document_id="one")))
    assert caught.value.problems[0].facts == {"candidates": "H29.17, H29.5"}
    single = hub.send("H29", "H29.5", identifier="two")
    hub.accept(hub.status("H29", "13", Response(document_id="two")))
    assert look(single.deliveries[0])[0] == "withdrawn"
    assert {look(row)[0] for row in made.deliveries} == {"queued"}


def test_a_take_back_from_who_never_got_the_document_is_refused(hub: World) -> None:
    made = hub.send("H29", "H29.5", identifier=OFFICIAL, code=CODE)
    with pytest.raises(Refused) as caught:
        hub.accept(hub.status("H29", "13", Response("H29.17", CODE, DAY, OFFICIAL)))
    assert caught.value.code == "document.not-found"
    assert look(made.deliveries[0])[0] == "queued"


# --- business messages --------------------------------------------------------------------------------


def test_a_stale_document_id_in_a_new_document_changes_nothing(hub: World) -> None:
    old = hub.send("H29", "H29.5")
    raw = hub.document("H29", "H29.5", signed=False)
    stale = f"<edXML:DocumentId>{old.package.document_id}</edXML:DocumentId></edXML:Bussiness>".encode()
    crooked = re.sub(rb"</edXML:Bussiness>", stale, raw)
    assert crooked != raw
    made = hub.accept(hub.sign("H29", crooked))
    assert made.package.about is None
    assert look(old.deliveries[0])[0] == "queued"


def test_a_recall_finds_the_document_by_its_code_when_the_id_differs(hub: World) -> None:
    made = hub.send("H29", "H29.5", code=CODE, identifier=str(uuid4()))
    recall(hub, made, "H29.5", identifier=str(uuid4()))
    assert look(made.deliveries[0])[0] == "withdrawn"


@pytest.mark.parametrize("named", ["business", "header"])
def test_an_update_names_its_document_in_the_business_part_or_in_the_header(hub: World, named: str) -> None:
    made = hub.send("H29", "H29.5", code=CODE)
    own = str(uuid4()) if named == "business" else made.package.document_id
    acted_on = made.package.document_id if named == "business" else "unknown"
    changed = update(
        hub,
        made,
        "H29.5",
        identifier=own,
        code=Code("9", "CV") if named == "business" else CODE,
        document_id=acted_on,
    )
    assert changed.package.about == made.package
    assert look(made.deliveries[0])[0] == "superseded"
    row = hand_over(hub, changed.deliveries[0])
    told(hub, answer_to(made))
    assert look(row)[1] == "01", "both ids mean the version that stands"
    recall(hub, made, "H29.5")
    assert look(row)[2:] == ("recall", "open")


def test_an_update_of_nothing_says_everything_that_was_searched_for(hub: World) -> None:
    business = Business(type=BusinessType.UPDATE, document_id="gone")
    with pytest.raises(Refused) as caught:
        hub.send("H29", "H29.5", identifier="new", business=business)
    searched = str(caught.value.problems[0].facts["searched"])
    assert "“gone”" in searched and "“new”" in searched


def test_a_plain_resend_marked_as_an_update_is_an_update(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    again = update(hub, made, "H29.5", document_id="", now=NOW + timedelta(minutes=1))
    assert look(made.deliveries[0])[0] == "superseded"
    assert again.package.about == made.package


def test_one_packet_per_recipient_under_one_id_is_one_document(hub: World) -> None:
    hub.agencies["H29"].duplicate_policy = "warn"
    hub.agencies["H29"].save()
    made = [hub.send("H29", code, identifier="7", code=CODE) for code in ("H29.5", "H29.17")]
    recall(hub, made[0], "H29.5", "H29.17")
    assert {look(one.deliveries[0])[0] for one in made} == {"withdrawn"}


# --- spellings, pure ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("626/KH-UBND", "626/KH-UBND"),
        (" 626 / kh - ubnd ", "626/KH-UBND"),
        ("12/QĐ", "12/QĐ"),
        ("12/qđ", "12/QĐ"),
        ("12/ABC/ABC", "12/ABC"),
        ("12/ABC/12/ABC", "12/ABC"),
        ("/KH-UBND", "KH-UBND"),
        ("", ""),
    ],
)
def test_codes_are_folded_for_comparison(written: str, folded: str) -> None:
    assert matching.fold_code(written) == folded


def test_a_reference_says_what_was_searched_for() -> None:
    empty = matching.Reference()
    assert (empty.searched, empty.texts, empty.dates) == ("(—)", [], [])
    full = matching.Reference(organ="H29", code="6/X", document_id="H29.5,2026/01/02,7/Y")
    assert full.texts == ["H29", "6/X", "H29.5", "7/Y"]
    assert full.dates == [date(2026, 1, 2)]
    assert matching.Reference(document_id="a,b,c").dates == []


def test_well_named_documents_cost_few_queries(
    hub: World, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    made = hub.send("H29", "H29.5", code=CODE)
    reference = matching.Reference(
        organ="H29", code="626/KH-UBND", date=DAY, document_id=made.package.document_id
    )
    with django_assert_max_num_queries(6):  # type: ignore[attr-defined]
        found = matching.received(hub.agencies["H29.5"], reference, NOW)
    assert found.deliveries == list(Delivery.objects.filter(package=made.package))


@pytest.mark.parametrize("text", ["/".join(str(i) for i in range(7)), "A" * 202, "a/" * 3 + "B" * 200])
def test_what_no_code_looks_like_has_no_spellings(text: str) -> None:
    assert matching._spellings(text) == set()
    assert matching._spellings("1/2/3/4/5/6")
    assert matching._spellings("A" * 201) == {"A" * 201}
