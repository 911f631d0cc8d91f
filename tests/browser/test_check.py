"""/kiem-tra in a real browser: the code, the QR, a file let fall on the page; and what it keeps to itself."""

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from exchange import door, vault
from exchange.envelope import package as envelope
from exchange.exports import codes, proof, readers
from exchange.models import AttachedFile, Delivery, Package
from tests.exchange import parties
from tests.world import ACTOR, World, answer_to

LETTER = b"%PDF-1.7 the letter that people hold\n" * 4000  # more than one block of the digest
SUBJECT = "Kế hoạch ứng phó ngập lụt"
UNKNOWN = "Trục không có văn bản nào ứng với mã hoặc tệp này"
_DROP = """([area, name, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], name));
    for (const what of ["dragover", "drop"])
        area.dispatchEvent(new DragEvent(what, {dataTransfer: held, bubbles: true, cancelable: true}));
}"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A document that one agency has taken, and what people hold of it."""

    package: Package
    proof: proof.Proof
    original: bytes


@pytest.fixture
def sent(live_hub: World) -> Sent:
    door.forget()
    now = datetime.now(UTC)
    letter = envelope.attach("cong-van.pdf", LETTER)
    made = live_hub.send("H29", "H29.5", "H29.17", subject=SUBJECT, attachments=[letter], now=now, at=now)
    parties.hand_over(live_hub, parties.to(made, "H29.5"), now)
    live_hub.accept(live_hub.status("H29.5", "03", answer_to(made)), "H29.5", now)
    printed = proof.of(made.package, readers.Reader(actor=ACTOR, agencies=None), now)
    with vault.open_bytes(made.package.sha256) as file:
        return Sent(made.package, printed, file.read())


def answers(visitor: Any, sent: Sent) -> None:
    """The page names agencies, times and results of the document, and nothing else of it."""
    visitor.sees("Ủy ban nhân dân Thành phố", "Sở Giao thông vận tải", "Đã tiếp nhận", "Sở Y tế", "Chờ gửi")
    shown = visitor.text() + visitor.page.content().replace(visitor.page.input_value("#q"), "")
    for secret in (
        sent.package.code,
        "ngập lụt",
        "cong-van",
        str(sent.package.pk),
        sent.package.sha256,
        "H29",
    ):
        assert secret not in shown, secret
    times = re.findall(r"\d\d/\d\d/\d{4} \d\d:\d\d", visitor.text())
    assert len(times) == 3  # taken, handed over, answered


def was_refused(visitor: Any, status: int) -> None:
    """Chromium notes on its console that a page came with an error status: this one only."""
    [noted] = visitor.problems
    assert f"responded with a status of {status}" in noted
    visitor.problems.clear()


def drop(visitor: Any, name: str, content: bytes) -> None:
    """Let a file fall on the page, as a mouse would."""
    visitor.page.wait_for_selector("#drop:not([hidden])")
    area = visitor.page.query_selector("#drop")
    with visitor.page.expect_navigation():
        visitor.page.evaluate(_DROP, [area, name, b64encode(content).decode()])


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_the_code_from_the_paper_is_typed_and_answered(sent: Sent, visit: Any, scripts: bool) -> None:
    visitor = visit(scripts=scripts)
    visitor.go("/kiem-tra")
    assert visitor.page.locator("#drop").is_visible() == scripts  # nothing is offered that cannot work
    visitor.page.fill("#q", codes.spaced(sent.proof.code).lower())
    visitor.click("#check button")
    answers(visitor, sent)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_the_link_of_the_qr_code_answers_at_once(sent: Sent, visit: Any, scripts: bool) -> None:
    link = urlsplit(sent.proof.address)
    visitor = visit(scripts=scripts, width=390, height=844)  # who scans it holds a phone
    visitor.go(f"{link.path}?{link.query}")
    answers(visitor, sent)
    if scripts:
        assert visitor.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert visitor.faults() == []


@pytest.mark.parametrize("what", ["package", "attachment"])
def test_a_file_that_falls_on_the_page_is_found_and_never_sent(sent: Sent, visit: Any, what: str) -> None:
    visitor = visit()
    asked: list[tuple[str, str | None]] = []
    visitor.page.on("request", lambda request: asked.append((request.method, request.post_data)))
    visitor.go("/kiem-tra")
    content = sent.original if what == "package" else LETTER
    drop(visitor, "giay.pdf", content)
    answers(visitor, sent)
    assert set(asked) == {("GET", None)}
    drop(visitor, "giay.pdf", content[:-1] + b"!")
    visitor.sees(UNKNOWN)
    assert "Sở Y tế" not in visitor.text()
    was_refused(visitor, 404)


def test_a_file_may_be_chosen_by_hand(sent: Sent, visit: Any, tmp_path: Path) -> None:
    (tmp_path / "cong-van.pdf").write_bytes(LETTER)
    visitor = visit()
    visitor.go("/kiem-tra")
    with visitor.page.expect_navigation():
        visitor.page.set_input_files("#file", tmp_path / "cong-van.pdf")
    answers(visitor, sent)


def test_who_asks_too_often_is_told_in_words_when_to_come_back(
    sent: Sent, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "VISITS", 1)
    visitor = visit()
    for _ in range(2):
        visitor.go(f"/kiem-tra?q={sent.proof.code}")
    assert re.search(
        r"Có quá nhiều lượt kiểm tra từ địa chỉ này\. Hãy thử lại sau \d+ giây\.", visitor.text()
    )
    was_refused(visitor, 429)
    assert "Sở Y tế" not in visitor.text()
    assert visitor.page.input_value("#q") == sent.proof.code  # to be asked again without typing
    visitor.go("/kiem-tra")
    assert visitor.page.locator("#check button").is_visible()


def test_looking_changes_nothing(sent: Sent, visit: Any) -> None:
    before = AttachedFile.objects.count(), list(Delivery.objects.order_by("pk").values())
    visitor = visit()
    visitor.go(f"/kiem-tra?q={sent.package.sha256}")
    visitor.sees("Sở Y tế")
    assert (AttachedFile.objects.count(), list(Delivery.objects.order_by("pk").values())) == before
