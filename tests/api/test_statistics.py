"""GET /statistics."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from agencies.models import Agency
from exchange.api import statistics as endpoint
from tests.api.conftest import Call, Caller, code_of
from tests.world import NOW, World, answer_to

PERIOD = {"from": "2026-11-01", "to": "2026-12-31"}


def play(hub: World) -> None:
    """H29.5 accepts one of two documents within ten minutes."""
    sent, _ = hub.send("H29", "H29.5"), hub.send("H29", "H29.5")
    hub.accept(hub.status("H29.5", "03", answer_to(sent)), "H29.5", NOW + timedelta(minutes=10))


def test_lines_by_day_and_their_sums(hub: World, sender: Caller) -> None:
    play(hub)
    body = sender.get("/statistics", **PERIOD).json()
    assert (body["from"], body["to"]) == ("2026-11-01", "2026-12-31")
    [line] = [line for line in body["items"] if line["direction"] == "sent"]
    assert (line["day"], line["agency"], line["type"]) == ("2026-11-23", "H29", "new")
    assert (line["counts"]["taken"], line["counts"]["answer_03"], line["counts"]["expired"]) == (2, 1, 0)
    assert line["in_time_share"] == 1.0
    assert line["times"]["acceptance"]["median"] == pytest.approx(600, rel=0.1)
    assert line["times"]["completion"] == {"median": None, "p95": None}
    total = {(row["agency"], row["direction"]): row["counts"]["deliveries"] for row in body["totals"]}
    assert total == {("H29", "sent"): 2, ("H29", "received"): 1}


def test_only_my_agencies_are_counted(hub: World, caller: Call) -> None:
    play(hub)
    assert caller("H29.121").get("/statistics", **PERIOD).json()["items"] == []
    rows = caller("H29.5").get("/statistics", **PERIOD).json()["items"]
    assert {row["agency"] for row in rows} == {"H29.5"}


def test_one_agency_may_be_named_by_any_of_its_codes(hub: World, sender: Caller) -> None:
    hub.send("H29", "H29.10")
    rows = sender.get("/statistics", **PERIOD, agency="000.00.10.H29").json()["items"]
    assert {(row["agency"], row["direction"]) for row in rows} == {("H29.10", "received")}


@pytest.mark.parametrize("code", ["H29.5", "H29.404"])
def test_an_agency_of_others_does_not_exist(hub: World, sender: Caller, code: str) -> None:
    answer = sender.get("/statistics", **PERIOD, agency=code)
    assert (answer.status_code, code_of(answer)) == (404, "request.not-found")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-12-31", "to": "2026-12-30"},
        {"from": "2025-12-31", "to": "2027-01-01"},
        {"from": "yesterday"},
        {"until": "2026-12-30"},
    ],
)
def test_a_question_without_sense_is_refused(hub: World, sender: Caller, query: dict[str, Any]) -> None:
    answer = sender.get("/statistics", **query)
    assert (answer.status_code, code_of(answer)) == (400, "request.invalid")


def test_more_lines_than_one_answer_holds_are_refused(
    hub: World, sender: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(hub)
    monkeypatch.setattr(endpoint, "MOST_LINES", 1)
    assert code_of(sender.get("/statistics", **PERIOD)) == "request.invalid"
    assert sender.get("/statistics", **PERIOD, agency="H29.10").status_code == 200


def test_csv_has_a_bom_and_the_same_lines(hub: World, sender: Caller) -> None:
    play(hub)
    answer = sender.get("/statistics", **PERIOD, headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="statistics-2026-11-01-2026-12-31.csv"'
    )
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    items = sender.get("/statistics", **PERIOD).json()["items"]
    assert [row["day"] for row in rows] == [item["day"] for item in items]
    [sent] = [row for row in rows if row["direction"] == "sent"]
    assert (sent["taken"], sent["in_time_share"], sent["completion_p95_seconds"]) == ("2", "1.0", "")


def test_no_cell_of_the_csv_is_a_formula(hub: World, sender: Caller) -> None:
    Agency.objects.filter(code="H29").update(name='=HYPERLINK("http://example.test")')
    play(hub)
    text = sender.get("/statistics", **PERIOD, headers={"Accept": "text/csv"}).content.decode()
    assert "'=HYPERLINK" in text
    assert '"=HYPERLINK' not in text
