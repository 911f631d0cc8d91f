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
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    HRFlowable,
    KeepInFrame,
    LongTable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

from exchange.exports.cells import Cell, Column, text_of

FONT, BOLD, ITALIC = "Tinos", "Tinos-Bold", "Tinos-Italic"
MARGIN = 15 * mm
CELL_CHARACTERS = 1500  # of one cell: a row must fit a page
FOOT_CHARACTERS = 150
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


@dataclass(frozen=True, slots=True)
class Cover:
    """The title page of a register, as Phụ lục IV of NĐ 30/2020 has it. `above`: the organ over `agency`."""

    above: str
    agency: str
    title: str
    lines: Sequence[str]

    @property
    def all(self) -> list[str]:
        """Every line that says something."""
        return [line for line in (self.above, self.agency, self.title, *self.lines) if line]


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
        Table(facts, colWidths=[42 * mm, width - 42 * mm], style=plain, spaceAfter=10),
        Table(
            [heading, *rows],
            colWidths=[width * share for share in (0.36, 0.32, 0.32)],
            style=TableStyle(
                [
                    ("GRID", (0, 0), (-1, -1), 0.4, colors.black),
                    ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    *_PADDING,
                ]
            ),
            spaceAfter=8,
        ),
        *([paragraph(sheet.more, small)] if sheet.more else []),
        *(paragraph(note, style(9, spaceBefore=3, leftIndent=2)) for note in sheet.notes),
        Table(
            [[_qr(sheet.address), check]], colWidths=[38 * mm, width - 38 * mm], style=plain, spaceBefore=12
        ),
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
    about: str,
    cover: Cover | None = None,
) -> None:
    """A landscape table whose heading repeats on every page, after its cover or under its title. `about`
    says what is shown; every page repeats it, for pages that came loose."""
    document = SimpleDocTemplate(
        str(path),
        pagesize=landscape(A4),
        title=title,
        author="",
        lang="vi",
        initialFontName=FONT,  # otherwise every file names Helvetica too
        **dict.fromkeys(("leftMargin", "rightMargin", "topMargin"), MARGIN),
        bottomMargin=MARGIN + 4 * mm,  # for the foot
    )

    def foot(page: Any, document: Any) -> None:
        page.setFont(ITALIC, 9)
        page.drawString(MARGIN, MARGIN - 4 * mm, f"{title}, {about}"[:FOOT_CHARACTERS])
        page.setFont(FONT, 9)
        page.drawRightString(
            document.pagesize[0] - MARGIN - 8 * mm, MARGIN - 4 * mm, f"Trang {document.page}/"
        )
        page.doForm(_Counted.TOTAL)

    begin: list[Any] = [
        paragraph(title.upper(), style(14, BOLD, alignment=1)),
        paragraph(about, style(11, ITALIC, alignment=1, spaceAfter=8)),
    ]
    document.build(
        [*(_cover(cover) if cover else begin), _table(columns, rows, document.width)],
        onFirstPage=_frame if cover else foot,
        onLaterPages=foot,
        canvasmaker=_Counted,
    )


class _Counted(Canvas):  # type: ignore[misc]
    """Pages that say how many there are: the number is drawn when all of them are."""

    TOTAL = "total"

    def save(self) -> None:
        """Add the number that every foot refers to, and end the file."""
        self.beginForm(self.TOTAL)
        self.setFont(FONT, 9)
        self.drawString(self._pagesize[0] - MARGIN - 8 * mm, MARGIN - 4 * mm, str(self.getPageNumber() - 1))
        self.endForm()
        super().save()


def _cover(cover: Cover) -> list[Any]:
    plain, strong = style(14, alignment=1), style(14, BOLD, alignment=1)
    return [
        paragraph(" ", style(10, spaceAfter=14 * mm)),
        *([paragraph(cover.above, plain)] if cover.above else []),
        paragraph(cover.agency, strong),
        HRFlowable(width=50 * mm, thickness=0.7, color=colors.black, spaceBefore=4, spaceAfter=26 * mm),
        paragraph(cover.title, style(24, BOLD, alignment=1, spaceAfter=12 * mm)),
        *(paragraph(line, style(14, alignment=1, spaceAfter=3 * mm)) for line in cover.lines),
        PageBreak(),
    ]


def _frame(page: Any, document: Any) -> None:
    """The double line around a cover."""
    width, height = document.pagesize
    for inset, line in ((MARGIN, 1.6), (MARGIN + 1.2 * mm, 0.5)):
        page.setLineWidth(line)
        page.rect(inset, inset, width - 2 * inset, height - 2 * inset)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: float) -> LongTable:
    printed = [place for place, column in enumerate(columns) if column.printed]
    total = sum(columns[place].width for place in printed)
    words, values = style(9), style(9, alignment=1)
    heading = [paragraph(columns[place].title, style(9, BOLD, alignment=1)) for place in printed]
    numbers = [paragraph(f"({place})", style(8, ITALIC, alignment=1)) for place in range(1, len(printed) + 1)]
    body = [
        [_cell(row[place], words if isinstance(row[place], str) else values) for place in printed]
        for row in rows
    ]
    table = LongTable(
        [heading, numbers, *body],
        colWidths=[width * columns[place].width / total for place in printed],
        repeatRows=2,
    )
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, colors.black),
                ("BACKGROUND", (0, 0), (-1, 1), colors.whitesmoke),
                ("FONTNAME", (0, 0), (-1, -1), FONT),  # of empty cells
                ("VALIGN", (0, 0), (-1, 1), "MIDDLE"),
                ("VALIGN", (0, 2), (-1, -1), "TOP"),
                *_PADDING,
            ]
        )
    )
    return table


def _cell(value: Cell, look: ParagraphStyle) -> Any:
    text = text_of(value)
    if len(text) > CELL_CHARACTERS:
        text = f"{text[:CELL_CHARACTERS]}…"
    return paragraph(text, look) if text else ""
