"""Printed forms: Tinos embedded (fonts/), NFC, A4. Register tables, and the pieces of the delivery proof."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import KeepInFrame, LongTable, Paragraph, SimpleDocTemplate, Table, TableStyle

from exchange.exports.cells import Cell, Column, text_of

FONT, BOLD, ITALIC = "Tinos", "Tinos-Bold", "Tinos-Italic"
MARGIN = 15 * mm
CELL_CHARACTERS = 1500  # of one cell: a row must fit a page
_FILES = {FONT: "Tinos-Regular", BOLD: "Tinos-Bold", ITALIC: "Tinos-Italic"}

_PADDING = [
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]


@cache
def load_fonts() -> None:
    """Make the vendored fonts known; only the glyphs used go into a file."""
    for name, file in _FILES.items():
        pdfmetrics.registerFont(TTFont(name, str(Path(__file__).parent / "fonts" / f"{file}.ttf")))
    pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=ITALIC, boldItalic=BOLD)


def style(size: float, font: str = FONT, **more: Any) -> ParagraphStyle:
    """A style of text; `more` as reportlab has it."""
    load_fonts()
    return ParagraphStyle(f"{font}{size}{more}", fontName=font, fontSize=size, leading=size * 1.25, **more)


def paragraph(text: object, look: ParagraphStyle) -> Paragraph:
    """`text` as it is: nothing in it is markup."""
    return Paragraph(escape(unicodedata.normalize("NFC", str(text))), look)


def long_date(day: date) -> str:
    """`ngày 04 tháng 3 năm 2026`: NĐ 30/2020 wants a zero before days below 10 and months 1 and 2."""
    month = f"{day.month:02d}" if day.month < 3 else str(day.month)
    return f"ngày {day.day:02d} tháng {month} năm {day.year}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One printed page with facts, a small table and a code to check it by."""

    issuer: str
    title: str
    dated: str
    facts: Sequence[tuple[str, str]]
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: str
    notes: Sequence[str]
    address: str
    code: str


def write_sheet(path: Path, sheet: Sheet) -> None:
    """Everything on one A4 page: where it would not fit, all of it is made smaller together."""
    width, height = A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN
    document = SimpleDocTemplate(
        str(path),
        pagesize=A4,
        title=sheet.title,
        author=sheet.issuer,
        lang="vi",
        initialFontName=FONT,
        **dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), MARGIN),
    )
    document.build([KeepInFrame(width, height - 12, _sheet(sheet, width), mode="shrink")])


def _sheet(sheet: Sheet, width: float) -> list[Any]:
    text, strong, small = style(10), style(10, BOLD), style(8.5, ITALIC)
    facts = [[paragraph(name, text), paragraph(_short(value), strong)] for name, value in sheet.facts]
    heading = [paragraph(name, style(10, BOLD, alignment=1)) for name in sheet.headings]
    rows = [[paragraph(_short(cell), text) for cell in row] for row in sheet.rows]
    check = [
        paragraph("Kiểm tra tại:", text),
        paragraph(sheet.address, small),
        paragraph("hoặc nhập mã:", text),
        paragraph(sheet.code, style(12, BOLD)),
    ]
    plain = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *_PADDING])
    return [
        paragraph(sheet.issuer.upper(), style(11, BOLD, alignment=1)),
        paragraph(sheet.title, style(14, BOLD, alignment=1, spaceBefore=8, spaceAfter=4)),
        paragraph(f"Lập {sheet.dated}", style(10, ITALIC, alignment=1, spaceAfter=10)),
        Table(facts, colWidths=[42 * mm, width - 42 * mm], style=plain),
        paragraph(" ", text),
        Table(
            [heading, *rows],
            colWidths=[width * share for share in (0.4, 0.3, 0.3)],
            style=TableStyle([("GRID", (0, 0), (-1, -1), 0.4, colors.black), *_PADDING]),
        ),
        paragraph(sheet.more or " ", small),
        *(paragraph(note, style(9, spaceBefore=3)) for note in sheet.notes),
        paragraph(" ", text),
        Table([[_qr(sheet.address), check]], colWidths=[38 * mm, width - 38 * mm], style=plain),
    ]


def _short(text: str) -> str:
    return text if len(text) <= 600 else f"{text[:600]}…"


def _qr(address: str) -> Drawing:
    code = QrCodeWidget(address, barLevel="M")
    left, bottom, right, top = code.getBounds()
    side = 34 * mm
    drawing = Drawing(side, side, transform=[side / (right - left), 0, 0, side / (top - bottom), 0, 0])
    drawing.add(code)
    return drawing


def write_table(
    path: Path,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str,
    head: Sequence[tuple[str, bool]],
) -> None:
    """A landscape table whose heading repeats on every page; `head`: lines above it, and whether bold."""
    printed = [place for place, column in enumerate(columns) if column.printed]
    page, _ = landscape(A4)
    total = sum(columns[place].width for place in printed)
    widths = [(page - 2 * MARGIN) * columns[place].width / total for place in printed]
    small, bold = style(8), style(8, BOLD, alignment=1)
    heading = [paragraph(columns[place].title, bold) for place in printed]
    numbers = [paragraph(f"({place})", style(7, ITALIC, alignment=1)) for place in range(1, len(printed) + 1)]
    body = [[_cell(row[place], small) for place in printed] for row in rows]
    table = LongTable([heading, numbers, *body], colWidths=widths, repeatRows=2)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, colors.black),
                ("BACKGROUND", (0, 0), (-1, 1), colors.whitesmoke),
                ("FONTNAME", (0, 0), (-1, -1), FONT),  # of empty cells
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                *_PADDING,
            ]
        )
    )
    lines = [paragraph(line, style(12, BOLD if strong else FONT, alignment=1)) for line, strong in head]
    lines.append(paragraph(" ", small))
    SimpleDocTemplate(
        str(path),
        pagesize=landscape(A4),
        title=title,
        author="",
        lang="vi",
        initialFontName=FONT,  # otherwise every file names Helvetica too
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
    ).build([*lines, table], onFirstPage=_number, onLaterPages=_number)


def _cell(value: Cell, look: ParagraphStyle) -> Any:
    text = text_of(value)
    if len(text) > CELL_CHARACTERS:
        text = f"{text[:CELL_CHARACTERS]}…"
    return paragraph(text, look) if text else ""


def _number(page: Any, document: Any) -> None:
    page.setFont(FONT, 9)
    page.drawRightString(document.pagesize[0] - MARGIN, 8 * mm, f"Trang {document.page}")
