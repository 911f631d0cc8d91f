"""Ids sort by the time they were made."""

import pytest

from exchange.models.ids import uuid7

pytestmark = pytest.mark.once


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid7()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    made = [uuid7() for _ in range(2_000)]
    assert sorted(item.int >> 64 for item in made) == [item.int >> 64 for item in made]
    assert len(set(made)) == len(made)
