"""The pictures in docs/lifecycle.md are those of the tables."""

import re

import pytest
from django.core.management import CommandError, call_command

from exchange.lifecycle import FOLLOWS, MOVES
from exchange.management.commands import draw_lifecycle
from exchange.models import Answer, State

pytestmark = pytest.mark.once


def test_the_page_shows_the_tables_as_they_are() -> None:
    call_command("draw_lifecycle", "--check")


def test_an_old_page_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOVES, "Requeued", MOVES["Recalled"])
    with pytest.raises(CommandError, match="draw_lifecycle"):
        call_command("draw_lifecycle", "--check")


def test_the_page_has_a_place_for_every_picture() -> None:
    page = draw_lifecycle.PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- drawn: (\w+) -->", page)) == set(draw_lifecycle.PICTURES)


def test_every_state_can_be_reached_and_every_answer_has_its_row() -> None:
    assert {move.after for move in MOVES.values()} == set(State)
    assert set(FOLLOWS) == set(Answer)


def test_what_may_follow_an_answer_may_follow_what_comes_before_it() -> None:
    for before, after in FOLLOWS.items():
        assert before not in after
        assert all(FOLLOWS[step] <= after for step in after), "steps may be left out"
