"""Draw the tables of exchange/lifecycle.py into docs/lifecycle.md, between its marks."""

import re
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from exchange.envelope.codes import STATUS_CODES
from exchange.lifecycle import ANSWER_EVENTS, FOLLOWS, MOVES, REPLIES, REQUESTS, judge
from exchange.management.command import HubCommand
from exchange.models import Answer

PAGE = Path(settings.BASE_DIR) / "docs" / "lifecycle.md"
_PLACE = re.compile(r"(<!-- drawn: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def drawn(page: str) -> str:
    """`page` with every drawing made anew."""
    return _PLACE.sub(lambda found: f"{found[1]}{PICTURES[found[2]]()}\n{found[3]}", page)


def state() -> str:
    """Where the bytes are: every event that moves a delivery."""
    edges = [("[*]", "queued", "ContentConsignment")]
    edges += [(start, move.after, name) for name, move in MOVES.items() for start in sorted(move.before)]
    rows = [
        [f"`{name}`", move.by, ", ".join(sorted(move.before)), move.after, move.when]
        for name, move in MOVES.items()
    ]
    return _diagram(edges) + "\n\n" + _table(["event", "who", "from", "to", "when"], rows)


def answer() -> str:
    """The recipient's last word: the shortest steps as a picture, every pair of codes as a table."""
    names = {code: "none" if code is Answer.NONE else f"s{code}" for code in Answer}
    labels = [f'    state "{_meaning(code)}" as {names[code]}' for code in list(Answer)[1:]]
    edges = [
        (names[before], names[after], ANSWER_EVENTS[after])
        for before in Answer
        for after in sorted(_next_steps(before))
    ]
    codes = list(ANSWER_EVENTS)
    rows = [[str(before), *(judge(before, code).value for code in codes)] for before in Answer]
    return _diagram(edges, labels) + "\n\n" + _table(["now \\ comes", *codes], rows)


def request() -> str:
    """What the sender asks afterwards: its states as a picture, its rules as tables."""
    edges: list[tuple[str, str, str]] = []
    for asks in REQUESTS:
        edges += [(start, "open", asks) for start in ("none", "declined")]
    edges += [("open", outcome, code) for code, outcome in sorted(REPLIES.items())]
    rows = [
        [
            str(asks),
            f"`{rule.at_once}` → {MOVES[rule.at_once].after}",
            f"`{rule.requested}`",
            f"`{rule.agreed}` → {MOVES[rule.agreed].after}",
            f"`{rule.declined}`",
            ", ".join(sorted(rule.over)),
        ]
        for asks, rule in REQUESTS.items()
    ]
    head = ["request", "content never served", "content served", "agreed", "declined", "replaces an open"]
    replies = [
        [code, _meaning(code), str(outcome), "yes" if code in FOLLOWS else "no"]
        for code, outcome in sorted(REPLIES.items())
    ]
    words = _table(["status", "meaning", "the request becomes", "only once the request was served"], replies)
    return _diagram(edges) + "\n\n" + _table(head, rows) + "\n\n" + words


PICTURES: Mapping[str, Callable[[], str]] = {"state": state, "answer": answer, "request": request}


def _next_steps(before: Answer) -> set[Answer]:
    """What may follow at once, without what may also follow later."""
    later = {code for step in FOLLOWS[before] for code in FOLLOWS[step]}
    return set(FOLLOWS[before]) - later


def _meaning(code: str) -> str:
    label = STATUS_CODES[code].label
    return f"{code} {label.vi} ({label.en})"


def _diagram(edges: Iterable[tuple[str, str, str]], labels: Sequence[str] = ()) -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for start, end, event in edges:
        arrows.setdefault((start, end), []).append(event)
    lines = [f"    {start} --> {end}: {' / '.join(events)}" for (start, end), events in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *labels, *lines, "```"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Command(HubCommand):
    """Write the page; with --check only compare it."""

    requires_system_checks = ()
    help = "Draw the tables of exchange/lifecycle.py into docs/lifecycle.md"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--check`."""
        parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is old")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        """Read the page, draw, compare or write."""
        page = PAGE.read_text(encoding="utf-8")
        new = drawn(page)
        if check and new != page:
            raise CommandError(f"{PAGE} is old: run manage.py draw_lifecycle")
        if new != page:
            PAGE.write_text(new, encoding="utf-8")
            self.stdout.write(f"{PAGE}")
