"""CSV and XLSX: written row by row, in constant memory."""

import csv
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from exchange.exports.cells import Cell, Column, safe_text, text_of
from exchange.workdays import VIETNAM

Pages = Iterable[list[list[Cell]]]
BOM = "\ufeff"
SHEET_ROWS = 1_000_000  # of the 1,048,576 that a sheet can have
CELL_CHARACTERS = 32_767


def write_csv(path: Path, columns: Sequence[Column], pages: Pages) -> None:
    """UTF-8 with a BOM, so that spreadsheets read Vietnamese; no cell is a formula."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(BOM)  # once by hand: the codec `utf-8-sig` looks for it at every row
        writer = csv.writer(file)
        writer.writerow([column.title for column in columns])
        for page in pages:
            writer.writerows([[safe_text(cell) for cell in row] for row in page])


def write_xlsx(
    path: Path,
    columns: Sequence[Column],
    pages: Pages,
    *,
    head: Sequence[str] = (),
    sheet_rows: int = SHEET_ROWS,
) -> None:
    """Dates are dates, texts are never formulas, the heading stays in view and filters. `head`: lines above
    the table, centred. More than `sheet_rows` rows go on in a further sheet."""
    options = {"constant_memory": True, "tmpdir": str(path.parent), "default_date_format": "dd/mm/yyyy"}
    with closing(xlsxwriter.Workbook(str(path), options)) as book:
        formats = _Formats.of(book)
        sheet = _Sheet(book, formats, columns, head)
        for page in pages:
            for row in page:
                if sheet.rows == sheet_rows:
                    sheet.close()
                    sheet = _Sheet(book, formats, columns, head)
                sheet.write(row)
        sheet.close()


@dataclass(frozen=True, slots=True)
class _Formats:
    title: Any
    centred: Any
    day: Any
    moment: Any
    text: Any

    @classmethod
    def of(cls, book: Any) -> "_Formats":
        wrapped = {"text_wrap": True, "valign": "top"}
        return cls(
            title=book.add_format({"bold": True, "text_wrap": True, "valign": "vcenter", "border": 1}),
            centred=book.add_format({"bold": True, "align": "center"}),
            day=book.add_format({"num_format": "dd/mm/yyyy", "valign": "top"}),
            moment=book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss", "valign": "top"}),
            text=book.add_format(wrapped),
        )


class _Sheet:
    """One sheet. In constant memory a row that was passed is gone, so everything comes in order."""

    def __init__(self, book: Any, formats: _Formats, columns: Sequence[Column], head: Sequence[str]) -> None:
        self._sheet = book.add_worksheet()
        self._formats, self._top, self._columns = formats, len(head) + bool(head), len(columns)
        self.rows = 0
        for place, column in enumerate(columns):
            self._sheet.set_column(place, place, column.width)
        for place, line in enumerate(head):
            self._sheet.write_string(place, self._columns // 2, line, formats.centred)
        for place, column in enumerate(columns):
            self._sheet.write_string(self._top, place, column.title, formats.title)
        self._sheet.freeze_panes(self._top + 1, 0)
        self._sheet.set_landscape()  # on paper: A4, as wide as a page, the heading on each, pages counted
        self._sheet.set_paper(9)
        self._sheet.fit_to_pages(1, 0)
        self._sheet.repeat_rows(self._top)
        self._sheet.set_footer("&RTrang &P/&N")

    def write(self, row: Sequence[Cell]) -> None:
        """The next row."""
        self.rows += 1
        place = self._top + self.rows
        for column, cell in enumerate(row):
            if isinstance(cell, datetime):
                local = cell.astimezone(VIETNAM).replace(tzinfo=None)
                self._sheet.write_datetime(place, column, local, self._formats.moment)
            elif isinstance(cell, date):
                self._sheet.write_datetime(place, column, cell, self._formats.day)
            elif isinstance(cell, int):
                self._sheet.write_number(place, column, cell)
            elif cell:
                self._sheet.write_string(place, column, text_of(cell)[:CELL_CHARACTERS], self._formats.text)

    def close(self) -> None:
        """The filter covers what was written."""
        self._sheet.autofilter(self._top, 0, self._top + self.rows, self._columns - 1)
