"""What the hub learns when it asks the registry."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from agencies import directory, enrolment
from agencies.models import Agency

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
REFORM = datetime(2025, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@given(st.text())
def test_folding_text_twice_changes_nothing(text: str) -> None:
    once = directory.fold_text(text)
    assert directory.fold_text(once) == once
    assert once == once.strip()
    assert "\x00" not in once


@given(st.text())
def test_folding_a_code_twice_changes_nothing(code: str) -> None:
    assert directory.fold(directory.fold(code)) == directory.fold(code)


def test_marks_case_and_spaces_do_not_matter_in_text() -> None:
    assert directory.fold_text("  Ủy ban\tNhân  dân ĐƯỜNG\u200b Đồng ") == "uy ban nhan dan duong dong"


def test_composed_and_decomposed_codes_are_one_code_but_marks_count() -> None:
    assert directory.fold(" Sở\u0302.1") == directory.fold("sở\u0302.1")
    assert directory.fold("Số.1") == directory.fold("So\u0302\u0301.1")
    assert directory.fold("Số.1") != directory.fold("So.1")


@pytest.mark.django_db
def test_an_agency_is_found_by_its_current_and_old_codes() -> None:
    agency = enrolment.register_agency("H29.01", "Sở A", aliases=[("000.00.01.H29", None, None)])
    for code in ("H29.01", "h29.01 ", "000.00.01.h29"):
        assert directory.agency_by_code(code, NOW) == agency
    assert directory.agency_by_code("H29.02", NOW) is None


@pytest.mark.django_db
def test_a_code_means_what_it_meant_at_the_time() -> None:
    old = enrolment.register_agency("H29.01", "Sở A", aliases=[("Q1", None, REFORM)])
    new = enrolment.register_agency("H29.02", "Sở B", aliases=[("Q1", REFORM, None)])
    assert directory.agency_by_code("Q1", REFORM - DAY) == old
    assert directory.agency_by_code("Q1", REFORM) == new


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["", " ", "a\x00b", "\ud800", "x" * 100_000, "a\u202eb"])
def test_an_impossible_code_is_unknown_and_not_an_error(code: str) -> None:
    assert directory.agency_by_code(code, NOW) is None


@pytest.mark.django_db
def test_many_codes_cost_one_query_and_keep_the_way_they_were_written() -> None:
    system = enrolment.register_system("QLVB")
    first = enrolment.register_agency("H29.01", "Sở A", aliases=[("A-OLD", None, None)])
    second = enrolment.register_agency("H29.02", "Sở B")
    enrolment.connect_agency(first, system)
    with CaptureQueriesContext(connection) as queries:
        found = directory.agencies_by_codes(["h29.01", "H29.01", "a-old", "H29.02", "no"], NOW)
        assert [agency.receives_through for agency in found.values()] == [system, system, system, None]
    assert found == {"h29.01": first, "H29.01": first, "a-old": first, "H29.02": second}
    assert len(queries) == 1


@pytest.mark.django_db
def test_finding_an_agency_reads_no_whole_table() -> None:
    enrolment.import_csv(["code,name", *(f"H{n}.{n},Cơ quan {n}" for n in range(3000))])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as queries:
        found = directory.agency_by_code("h77.77", NOW)
    assert found is not None
    assert found.code == "H77.77"
    plan = _plan(queries[0]["sql"])
    assert "alias_one" in plan or "sqlite_autoindex_agencies_alias" in plan, plan
    for whole_table in ("SCAN", "Seq Scan on agencies_alias", "Seq Scan on agencies_agency"):
        assert whole_table not in plan.replace("Bitmap Heap Scan", "").replace("Index Scan", ""), plan


def _plan(sql: str) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}".replace("%", "%%"))
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


@pytest.mark.django_db
def test_a_system_sends_only_for_its_own_agencies() -> None:
    own, other = enrolment.register_agency("A", "Sở A"), enrolment.register_agency("B", "Sở B")
    lent = enrolment.register_agency("C", "Sở C")
    system = enrolment.register_system("QLVB", agencies=[own], sends_only=[lent])
    receiver = enrolment.register_system("Khác", agencies=[lent])
    enrolment.forbid_sending(receiver, lent)
    assert [directory.may_send_for(system, agency) for agency in (own, other, lent)] == [True, False, True]
    assert list(directory.receives_for(system)) == [own]
    assert list(directory.agencies_of(system)) == [own, lent]
    assert list(directory.agencies_of(receiver)) == [lent]
    assert not directory.may_send_for(receiver, lent)


@pytest.mark.django_db
def test_policies_come_from_the_agency_then_from_its_system() -> None:
    vxp, native = enrolment.register_system("V", kind="vxp"), enrolment.register_system("N")
    plain = enrolment.register_agency("A", "Sở A")
    strict = enrolment.register_agency("B", "Sở B", signature_policy="required", duplicate_policy="refuse")
    assert directory.signature_policy(plain, vxp) == "report"
    assert directory.signature_policy(plain, native) == "required"
    assert directory.signature_policy(strict, vxp) == "required"
    assert directory.duplicate_policy(plain, vxp) == "warn"
    assert directory.duplicate_policy(plain, native) == "refuse"
    assert directory.duplicate_policy(strict, vxp) == "refuse"


@pytest.mark.django_db
def test_search_finds_every_word_without_case_or_marks() -> None:
    enrolment.register_agency("H29.01", "Sở Giao thông vận tải", name_en="Department of Transport")
    enrolment.register_agency("H29.02", "Sở Y tế", aliases=[("000.00.02.H29", None, None)])
    assert _found("giao THONG") == ["H29.01"]
    assert _found("tai giao") == ["H29.01"]
    assert _found("giao y") == []
    assert _found("sở") == _found("") == ["H29.01", "H29.02"]
    assert _found("000.00.02") == ["H29.02"]
    assert _found("transport") == ["H29.01"]
    assert _found("100%") == _found("_") == _found("a\x00b") == []


@pytest.mark.django_db
def test_search_since_a_time_shows_what_changed() -> None:
    first = enrolment.register_agency("A", "Sở A", at=NOW)
    enrolment.register_agency("B", "Sở B", at=NOW)
    enrolment.add_alias(first, "A-2", at=NOW + DAY)
    assert _found("", NOW + DAY) == ["A"]


@pytest.mark.django_db
def test_a_page_of_the_directory_costs_a_fixed_number_of_queries() -> None:
    enrolment.import_csv(["code,name,parent", "A,Sở A,", *(f"A.{n},Phòng {n},A" for n in range(20))])
    with CaptureQueriesContext(connection) as queries:
        for agency in directory.search("phong"):
            assert agency.parent is not None
            assert not agency.reachable
            assert len(agency.aliases.all()) == 1
    assert len(queries) == 2


def _found(words: str, since: datetime | None = None) -> list[str]:
    return [agency.code for agency in directory.search(words, since)]


@pytest.mark.django_db
def test_an_agency_is_reachable_while_it_and_its_system_work() -> None:
    agency = enrolment.register_agency("A", "Sở A")
    assert not agency.reachable
    system = enrolment.register_system("QLVB", agencies=[agency])
    assert _fresh(agency).reachable
    enrolment.suspend_system(system)
    assert not _fresh(agency).reachable
    enrolment.resume_system(system)
    enrolment.suspend_agency(agency)
    assert not _fresh(agency).reachable


def _fresh(agency: Agency) -> Agency:
    found = directory.agency_by_code(agency.code, NOW)
    assert found is not None
    return found


@pytest.mark.django_db
def test_a_user_sees_the_agencies_that_he_belongs_to() -> None:
    user, stranger = User.objects.create(username="vt1"), User.objects.create(username="vt2")
    agency = enrolment.register_agency("A", "Sở A")
    enrolment.register_agency("B", "Sở B")
    enrolment.join(user, agency)
    assert list(directory.agencies_of_user(user)) == [agency]
    assert list(directory.agencies_of_user(stranger)) == []
    assert list(directory.agencies_of_user(AnonymousUser())) == []


@pytest.mark.django_db
def test_a_system_is_found_by_the_name_it_uses_on_the_axis() -> None:
    system = enrolment.register_system("QLVB", kind="vxp", vxp_id="vxp.saas.03")
    enrolment.register_system("Khác")
    assert directory.system_by_vxp_id("vxp.saas.03") == system
    assert directory.system_by_vxp_id("") is None
    assert directory.system_by_vxp_id("a\x00") is None
