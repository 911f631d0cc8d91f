"""Code lists and organ codes."""

import unicodedata

import pytest

from exchange.envelope.codes import (
    DOCUMENT_KINDS,
    PRIORITIES,
    STATUS_CODES,
    BusinessType,
    Side,
    check_organ,
    fold_organ,
    kind_of,
    read_status,
)


def test_business_types_have_the_digits_of_the_regulation():
    digits = {kind.value: kind.wire for kind in BusinessType}
    assert digits == {"new": "0", "recall": "1", "update": "2", "replace": "3"}
    assert all(BusinessType.from_wire(kind.wire) is kind for kind in BusinessType)
    assert BusinessType.from_wire("02") is BusinessType.UPDATE
    assert all(kind.label.vi and kind.label.en for kind in BusinessType)


@pytest.mark.parametrize("text", ["4", "-1", "", "x", "²", "1.0", "99999999"])
def test_other_business_types_are_an_error(text):
    with pytest.raises(ValueError):
        BusinessType.from_wire(text)


def test_status_codes_are_those_of_the_regulation():
    assert list(STATUS_CODES) == ["01", "02", "03", "04", "05", "06", "13", "15", "16"]
    assert [code for code, status in STATUS_CODES.items() if status.by is Side.SENDER] == ["13"]
    assert all(status.label.vi and status.label.en for status in STATUS_CODES.values())


def test_status_14_is_read_as_15():
    assert read_status("14") == "15"


def test_a_status_of_one_digit_is_padded():
    assert read_status(" 3 ") == "03"


@pytest.mark.parametrize("text", ["00", "07", "12", "17", "", "xx", "003"])
def test_other_status_codes_are_an_error(text):
    with pytest.raises(ValueError):
        read_status(text)


def test_express_goes_first():
    order = sorted(PRIORITIES.values(), key=lambda priority: priority.rank)
    assert {priority.value for priority in order[:2]} == {3, 4}
    assert [priority.value for priority in order[2:]] == [2, 1, 0]
    assert PRIORITIES[3].rank == PRIORITIES[4].rank


def test_there_are_29_kinds_and_27_abbreviations():
    assert len(DOCUMENT_KINDS) == 29
    assert len({kind.name for kind in DOCUMENT_KINDS}) == 29
    assert len({kind.abbreviation for kind in DOCUMENT_KINDS if kind.abbreviation}) == 27


@pytest.mark.parametrize(
    ("text", "abbreviation"),
    [
        ("Kế hoạch", "KH"),
        ("  KẾ  HOẠCH ", "KH"),
        (unicodedata.normalize("NFD", "Kế hoạch tuần 3"), "KH"),
        ("Quyết định (cá biệt)", "QĐ"),
        ("Bản thoả thuận", "BTT"),
    ],
)
def test_a_kind_is_found_by_name(text, abbreviation):
    kind = kind_of(text)
    assert kind is not None
    assert kind.abbreviation == abbreviation


@pytest.mark.parametrize("text", ["", "71", "Kế", "Thông tư", "V/v báo cáo"])
def test_other_names_have_no_kind(text):
    assert kind_of(text) is None


@pytest.mark.parametrize(
    "code", ["H29", "000.00.00.G22", "01.02.G22", "020312345678", "vxp.saas.03", "G12", "A" * 64]
)
def test_organ_codes_are_opaque(code):
    assert check_organ(f" {code}\n") == code


@pytest.mark.parametrize(
    "code", ["", "  ", "A" * 65, "H29\x00", "H29\n.5", "H29\u202e5", "H\u200b29", "H29 5", "H29\u00a05"]
)
def test_codes_that_would_mislead_are_an_error(code):
    with pytest.raises(ValueError):
        check_organ(code)


def test_codes_are_compared_without_case_space_and_unicode_form():
    assert fold_organ(" h29.đn ") == "H29.ĐN"
    assert fold_organ(unicodedata.normalize("NFD", "Ế1")) == fold_organ("ế1")
