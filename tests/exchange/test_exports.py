"""What auditors take home, opened with other programs: rows, forms, filters, and trails that verify."""

import csv
import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import F
from openpyxl.reader.excel import load_workbook

from agencies.models import Membership
from exchange import intake, sealing
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.envelope.package import OtherInfo, Signer
from exchange.evidence import verify
from exchange.evidence.checkpoint import VerifierKey
from exchange.exports import files, make, period, readers, trail
from exchange.exports.cells import Column
from exchange.exports.filters import PERIODS, Filter
from exchange.exports.make import Wanted
from exchange.models import Delivery, Event, ExportKind, Log
from exchange.refusals import Refused
from tests.exchange import parties
from tests.world import ACTOR, NOW, World, answer_to

TODAY = date(2026, 11, 23)
HOSTILE = '=HYPERLINK("http://evil";"x") @SUM(1+1)'
EVERYTHING = readers.Reader(actor=ACTOR, agencies=None)


def clerk(hub: World, code: str = "H29", role: str = "clerk") -> User:
    user = User.objects.create_user(f"{role}-{code}", email=f"{role}@agency.test")
    user.groups.add(Group.objects.get(name=role))
    if role == "clerk":
        Membership.objects.create(user=user, agency=hub.agencies[code])
    return user


@pytest.fixture
def sent(hub: World) -> intake.Acceptance:
    """A document to two recipients, one of which refused it, and another agency's own affair."""
    made = hub.send("H29", "H29.5", "H29.17", subject=HOSTILE, signer=Signer(full_name="Nguyễn Thử"))
    parties.hand_over(hub, parties.to(made, "H29.5"))
    hub.accept(hub.status("H29.5", "02", answer_to(made), description="-1+1 gửi nhầm"), "H29.5")
    hub.send("H29.5", "H29.121", subject="Chuyện riêng", now=NOW + timedelta(hours=1))
    sealing.seal(datetime.now(UTC))
    return made


def written(
    path: Path,
    form: str,
    kind: str = "trail",
    query: str = "",
    reader: readers.Reader = EVERYTHING,
    **more: Any,
) -> Path:
    wanted = Wanted(kind=kind, format=form, chosen=Filter.of_query(query, TODAY), reader=reader, **more)
    make.write(path, wanted, lambda done, total: None, NOW)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline="")))


def verified(*paths: Path) -> dict[str, list[str]]:
    trust = verify.Trust(log_keys=[VerifierKey.parse(log.key) for log in Log.objects.all()])
    verifier = verify.Verifier(trust)
    verifier.paths(paths)
    said: dict[str, list[str]] = {}
    for check in verifier.report.checks:
        said.setdefault(check.status, []).append(check.en)
    return said


# --- CSV ------------------------------------------------------------------------------------------------


def test_every_event_is_a_row_of_the_csv(sent: intake.Acceptance, tmp_path: Path) -> None:
    rows = rows_of(written(tmp_path / "a.csv", "csv"))
    assert len(rows) == Event.objects.count()
    assert {row["Tên sự kiện"] for row in rows} == set(Event.objects.values_list("name", flat=True))
    assert all(row["Chỉ số"] for row in rows)


def test_no_cell_of_a_csv_is_a_formula(sent: intake.Acceptance, tmp_path: Path) -> None:
    for kind in ("trail", "deliveries"):
        path = written(tmp_path / "a.csv", "csv", kind)
        assert any(row["Trích yếu"] == f"'{HOSTILE}" for row in rows_of(path))
        cells = [cell for row in rows_of(path) for cell in row.values()]
        assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r") and cell]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x"])
def test_every_beginning_of_a_formula_is_disarmed(text: str, tmp_path: Path) -> None:
    files.write_csv(tmp_path / "a.csv", [Column("x")], [[[text]]])
    assert rows_of(tmp_path / "a.csv") == [{"x": f"'{text}"}]


# --- XLSX -----------------------------------------------------------------------------------------------


def test_xlsx_has_typed_dates_a_frozen_heading_a_filter_and_no_formula(
    sent: intake.Acceptance, tmp_path: Path
) -> None:
    sheet = load_workbook(written(tmp_path / "a.xlsx", "xlsx", "deliveries")).active
    assert sheet is not None
    titles = [cell.value for cell in sheet[1]]
    first = dict(zip(titles, sheet[2], strict=True))
    assert first["Trục nhận lúc"].value == datetime(2026, 11, 23, 9, 0)
    assert first["Ngày văn bản"].is_date
    assert first["Trích yếu"].value == HOSTILE
    assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(1, len(titles)).column_letter}{sheet.max_row}"


def test_xlsx_goes_on_in_a_further_sheet(tmp_path: Path) -> None:
    pages: files.Pages = [[[number] for number in range(5)]]
    files.write_xlsx(tmp_path / "a.xlsx", [Column("x")], pages, sheet_rows=2)
    book = load_workbook(tmp_path / "a.xlsx")
    assert [[row[0] for row in sheet.values] for sheet in book] == [["x", 0, 1], ["x", 2, 3], ["x", 4]]


def test_a_form_refuses_more_rows_than_it_is_good_for(
    sent: intake.Acceptance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "LIMITS", {"xlsx": 2, "pdf": 2})
    for form in ("xlsx", "pdf"):
        with pytest.raises(Refused, match=r"export.too-many"):
            written(tmp_path / "a", form)
    written(tmp_path / "a.xlsx", "xlsx", insist=True)
    with pytest.raises(Refused, match=r"export.too-many"):
        written(tmp_path / "a", "pdf", insist=True)


# --- PDF ------------------------------------------------------------------------------------------------


def text_of_pdf(path: Path) -> str:
    done = subprocess.run(["pdftotext", "-layout", str(path), "-"], check=True, capture_output=True)
    return done.stdout.decode()


def test_pdf_embeds_its_font_and_can_be_read_by_another_program(
    sent: intake.Acceptance, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.pdf", "pdf", "deliveries")
    text = " ".join(text_of_pdf(path).split())
    assert "LƯỢT GỬI" in text
    assert "Ủy ban nhân dân" in text
    fonts = subprocess.run(["pdffonts", str(path)], check=True, capture_output=True).stdout.decode()
    lines = fonts.splitlines()[2:]
    assert lines
    assert all("Tinos" in line and " yes yes yes " in line for line in lines)


# --- filters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 4),
        ("agency=H29", 3),
        ("agency=000.00.00.H29&direction=sent", 2),
        ("agency=H29.5&direction=received", 1),
        ("agency=H29.17&agency=H29.121", 2),
        ("agency=H29.17,H29.121&direction=received", 2),
        ("agency=H29.5&agency=H29.17&direction=sent", 2),
        ("state=handed_over", 1),
        ("answer=02", 1),
        ("trouble=failed", 1),
        ("trouble=late", 0),
        ("type=status", 1),
        ("type=new", 3),
        ("priority=1", 0),
        ("period=today", 4),
        ("period=yesterday", 0),
        ("since=2026-11-23&until=2026-11-23", 4),
        ("since=2026-11-24", 0),
    ],
)
def test_a_filter_shows_what_it_says(sent: intake.Acceptance, query: str, found: int) -> None:
    chosen = Filter.of_query(query, TODAY)
    assert chosen.deliveries(Delivery.objects.all(), None).count() == found
    assert Filter.of_query(chosen.query, TODAY) == chosen


def test_the_same_agencies_are_the_same_filter_however_they_are_written() -> None:
    made = Filter.of_query("agency=H29.5&agency=000.00.00.H29", TODAY)
    assert made.query == "agency=000.00.00.H29&agency=H29.5"
    assert made.words == "cơ quan 000.00.00.H29, H29.5"
    assert not made.whole
    for query in ("agency=H29.5,+000.00.00.H29", "agency=H29.5;H29.5&agency=000.00.00.H29", made.query):
        assert Filter.of_query(query, TODAY) == made


def test_an_agency_among_several_that_does_not_exist_is_named(sent: intake.Acceptance) -> None:
    chosen = Filter.of_query("agency=H29&agency=H99", TODAY)
    with pytest.raises(Refused, match=r"recipient.unknown.*H99"):
        chosen.deliveries(Delivery.objects.all(), None)


def test_a_register_is_of_one_agency(sent: intake.Acceptance, tmp_path: Path) -> None:
    for query in ("agency=H29&agency=H29.5", "period=this-month"):
        with pytest.raises(Refused, match=r"request.invalid"):
            written(tmp_path / "a", "pdf", "register-out", query)


def test_late_is_answered_after_the_deadline_or_reminded(sent: intake.Acceptance) -> None:
    late = Filter.of_query("trouble=late", TODAY)
    parties.to(sent, "H29.17")
    row = Delivery.objects.filter(package=sent.package, recipient__code="H29.5")
    row.update(first_answered_at=F("receipt_due_at") + timedelta(seconds=1))
    Delivery.objects.filter(recipient__code="H29.17").update(reminded_at=NOW)
    assert late.deliveries(Delivery.objects.all(), None).count() == 2


@pytest.mark.parametrize(
    "query",
    [
        "state=queued&state=expired",
        "&".join(f"agency={n}" for n in range(101)),
        "agecny=H29",
        "state=lost",
        "direction=up",
        "priority=9",
        "since=23/11/2026",
        "period=ever",
    ],
)
def test_a_filter_that_says_nothing_sensible_is_refused(query: str) -> None:
    with pytest.raises(Refused, match=r"request.invalid"):
        Filter.of_query(query, TODAY)


def test_weeks_begin_on_monday_and_periods_follow_each_other() -> None:
    sunday = date(2026, 3, 1)
    assert PERIODS["this-week"](sunday) == (date(2026, 2, 23), date(2026, 3, 2))
    assert PERIODS["last-month"](sunday) == (date(2026, 2, 1), date(2026, 3, 1))
    assert PERIODS["last-month"](date(2026, 1, 5)) == (date(2025, 12, 1), date(2026, 1, 1))
    for last, this in (("yesterday", "today"), ("last-week", "this-week"), ("last-year", "this-year")):
        assert PERIODS[last](sunday)[1] == PERIODS[this](sunday)[0]


# --- who reads what -------------------------------------------------------------------------------------


def test_a_reader_gets_only_what_concerns_the_own_agencies(
    hub: World, sent: intake.Acceptance, tmp_path: Path
) -> None:
    mine = readers.of_user(clerk(hub, "H29.17"), "trail")
    for kind in ("trail", "deliveries"):
        rows = rows_of(written(tmp_path / "a.csv", "csv", kind, reader=mine))
        assert {row["Số, ký hiệu"] for row in rows} == {sent.package.code}
        assert {row["Mã nơi nhận"] for row in rows} <= {"", "H29.17"}
    with pytest.raises(Refused, match=r"export.not-allowed"):
        written(tmp_path / "a", "pdf", "register-out", "agency=H29.5", reader=mine)


@pytest.mark.parametrize("role", ["operator", "registrar"])
def test_roles_that_read_no_documents_export_none(hub: World, role: str) -> None:
    with pytest.raises(Refused, match=r"export.not-allowed"):
        readers.of_user(clerk(hub, role=role))


def test_an_account_out_of_use_exports_nothing(hub: World) -> None:
    user = clerk(hub)
    user.is_active = False
    with pytest.raises(Refused, match=r"export.not-allowed"):
        readers.of_user(user)


# --- trails ---------------------------------------------------------------------------------------------


def test_a_whole_trail_verifies_and_is_complete(sent: intake.Acceptance, tmp_path: Path) -> None:
    said = verified(written(tmp_path / "a.zip", "jsonl"))
    assert "failed" not in said
    assert verify.COMPLETE[1] in said["ok"]


def test_a_filtered_trail_verifies_and_says_that_it_is_an_extract(
    sent: intake.Acceptance, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.zip", "jsonl", query="agency=H29.17&direction=received")
    said = verified(path)
    assert "failed" not in said
    assert verify.COMPLETE[1] in said["not checked"]
    with zipfile.ZipFile(path) as zipped:
        lines = [json.loads(line) for line in zipped.read("events.jsonl").splitlines()]
        assert "văn bản đến" in zipped.read("HUONG-DAN.txt").decode()
    assert {line["event"] for line in lines} == {"SubmissionAcceptance", "ContentConsignment"}
    assert {line.get("recipient", "H29.17") for line in lines} == {"H29.17"}


def test_a_period_is_a_complete_range_of_the_log(
    sent: intake.Acceptance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period, "MARGIN", timedelta())
    log = Log.objects.get()
    chosen = Filter.of_query("since=2026-11-24", TODAY)
    [part] = trail.parts(chosen, EVERYTHING)
    assert isinstance(part.places, range)
    assert len(part.places) < log.size
    said = verified(written(tmp_path / "a.zip", "jsonl", query="until=2026-11-23"))
    assert "failed" not in said
    assert verify.COMPLETE[1] in said["ok"]


def test_paths_of_many_events_are_those_of_the_tree(
    hub: World, sent: intake.Acceptance, tmp_path: Path
) -> None:
    for number in range(60):
        hub.send("H29", "H29.5", "H29.17", "H29.121", subject=f"Số {number}")
    sealing.seal(datetime.now(UTC))
    assert Log.objects.get().size > 256
    said = verified(written(tmp_path / "a.zip", "jsonl", query="agency=H29.121"))
    assert "failed" not in said
    assert verify.COMPLETE[1] in said["not checked"]


Tamper = Callable[[dict[str, bytes]], None]


def _edit(name: str, old: bytes, new: bytes) -> Tamper:
    def apply(files: dict[str, bytes]) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return apply


def _drop_line(name: str) -> Tamper:
    def apply(files: dict[str, bytes]) -> None:
        files[name] = files[name].partition(b"\n")[2]

    return apply


@pytest.mark.parametrize("query", ["", "agency=H29.17&direction=received"])
@pytest.mark.parametrize(
    "tamper",
    [
        _edit("events.jsonl", b"H29.17", b"H29.18"),
        _drop_line("events.jsonl"),
        _edit("checkpoint", b"hub.test", b"hub.tost"),
        lambda files: files.pop("checkpoint"),
    ],
)
def test_a_trail_that_was_tampered_with_fails(
    sent: intake.Acceptance, tmp_path: Path, query: str, tamper: Tamper
) -> None:
    with zipfile.ZipFile(written(tmp_path / "a.zip", "jsonl", query=query)) as zipped:
        content = {name: zipped.read(name) for name in zipped.namelist()}
    if query and tamper.__name__ == "apply" and b"H29.17" not in content["events.jsonl"]:
        pytest.fail("the extract does not name its recipient")
    tamper(content)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        for name, data in content.items():
            zipped.writestr(name, data)
    assert verified(tmp_path / "b.zip").get("failed")


def test_a_log_without_a_signed_head_gives_no_trail(hub: World, tmp_path: Path) -> None:
    hub.send("H29", "H29.5")
    with pytest.raises(Refused, match=r"export.not-sealed"):
        written(tmp_path / "a.zip", "jsonl")


# --- registers ------------------------------------------------------------------------------------------


def test_the_register_of_documents_sent_has_the_ten_columns_of_the_decree(
    sent: intake.Acceptance, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.xlsx", "xlsx", "register-out", "agency=H29&period=this-month")
    sheet = load_workbook(path).active
    assert sheet is not None
    table = [list(row) for row in sheet.values]
    head = [cell for row in table[:6] for cell in row if cell]
    assert head[:3] == ["ỦY BAN NHÂN DÂN THÀNH PHỐ", "SỔ ĐĂNG KÝ VĂN BẢN ĐI", "Năm: 2026"]
    titles, row = table[7], table[8]
    assert titles == [
        "Số, ký hiệu văn bản", "Ngày tháng văn bản", "Tên loại và trích yếu nội dung văn bản", "Người ký",
        "Nơi nhận văn bản", "Đơn vị, người nhận bản lưu", "Số lượng bản", "Ngày chuyển", "Ký nhận", "Ghi chú",
    ]  # fmt: skip
    assert row[0] == sent.package.code
    assert (row[3], row[5], row[6], row[8]) == ("Nguyễn Thử", None, None, None)
    assert row[4] == "Sở Giao thông vận tải; Sở Y tế"
    assert row[9] == "1 từ chối"
    assert len(table) == 9


def test_a_printed_register_has_its_cover_and_numbered_pages_with_their_heading(
    hub: World, sent: intake.Acceptance, tmp_path: Path
) -> None:
    for number in range(30):
        hub.send("H29", "H29.5", "H29.17", subject=f"Văn bản số {number}")
    path = written(tmp_path / "a.pdf", "pdf", "register-out", "agency=H29&period=this-month")
    cover, *pages, end = text_of_pdf(path).split("\f")
    assert [" ".join(line.split()) for line in cover.splitlines() if line.strip()] == [
        "ỦY BAN NHÂN DÂN THÀNH PHỐ",
        "SỔ ĐĂNG KÝ VĂN BẢN ĐI",
        "Năm: 2026",
        "Từ ngày 01/11/2026 đến ngày 30/11/2026",
        "Từ số …… đến số ……",
        "Quyển số: ……",
    ]
    assert len(pages) > 1
    assert end == ""
    for number, page in enumerate(pages, 2):
        for words in ("Nơi nhận văn bản", "(10)", f"Trang {number}/{len(pages) + 1}", "cơ quan H29"):
            assert words in page
    assert sum(page.count("Văn bản số") for page in pages) == 30


def test_the_register_of_documents_received_leaves_blank_what_only_the_agency_knows(
    sent: intake.Acceptance, tmp_path: Path
) -> None:
    source = Wanted(
        kind=ExportKind.REGISTER_IN,
        format="pdf",
        chosen=Filter.of_query("agency=H29.5&period=all", TODAY),
        reader=EVERYTHING,
    ).source()
    assert [column.title for column in source.columns] == [
        "Ngày đến", "Số đến", "Tác giả", "Số, ký hiệu văn bản", "Ngày tháng văn bản",
        "Tên loại và trích yếu nội dung văn bản", "Đơn vị hoặc người nhận", "Ngày chuyển", "Ký nhận",
        "Ghi chú",
    ]  # fmt: skip
    [row] = source.rows(source.keys())
    assert row[:4] == [TODAY, "", "Ủy ban nhân dân Thành phố", sent.package.code]
    assert row[6:] == ["", "", "", "từ chối tiếp nhận"]
    path = written(tmp_path / "a.pdf", "pdf", "register-in", "agency=H29.5")
    assert "SỔ ĐĂNG KÝ VĂN BẢN ĐẾN" in text_of_pdf(path)


def test_the_number_of_copies_comes_from_the_document(hub: World) -> None:
    content = envelope.read(xml.parse(hub.document("H29", "H29.5")))
    raw = hub.sign("H29", envelope.build(replace(content, other=OtherInfo(copies=3))))
    made = hub.accept(raw)
    source = Wanted(
        kind=ExportKind.REGISTER_OUT, format="pdf", chosen=Filter(agency=("H29",)), reader=EVERYTHING
    ).source()
    [row] = source.rows(source.keys())
    assert (made.package.copies, row[6]) == (3, 3)


# --- commands -------------------------------------------------------------------------------------------


def test_the_commands_write_files_and_their_events(sent: intake.Acceptance, tmp_path: Path) -> None:
    out = io.StringIO()
    call_command("export_trail", str(tmp_path / "a.zip"), "--json", stdout=out)
    facts = json.loads(out.getvalue())
    assert "failed" not in verified(tmp_path / "a.zip")
    event = Event.objects.filter(name="ExportIssued").latest("id")
    said = json.loads(bytes(event.body.raw))
    assert (said["what"], said["rows"], said["digest"]) == ("trail.jsonl", facts["rows"], facts["sha256"])
    assert said["actor"]["auth"] == "console"
    call_command(
        "export_register", "out", "H29", str(tmp_path / "a.pdf"), "--filter", "period=all", stdout=out
    )
    assert "SỔ ĐĂNG KÝ VĂN BẢN ĐI" in text_of_pdf(tmp_path / "a.pdf")


def test_a_command_says_what_is_wrong(sent: intake.Acceptance, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"H29.99"):
        call_command("export_register", "in", "H29.99", str(tmp_path / "a.pdf"))
    with pytest.raises(CommandError, match="period"):
        call_command("export_trail", str(tmp_path / "a.csv"), "--filter", "period=ever")
    with pytest.raises(CommandError, match="No such file"):
        call_command("export_trail", str(tmp_path / "none" / "a.csv"))
