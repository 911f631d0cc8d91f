"""One export from what is wanted to a file, for jobs and commands alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest, sha256
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils import translation

from agencies import directory
from exchange import log
from exchange.exports import files, pdf, registers, trail
from exchange.exports.cells import Source, in_pages
from exchange.exports.filters import Filter, agency_of
from exchange.exports.readers import Reader
from exchange.exports.registers import Incoming, Outgoing, Register
from exchange.exports.rows import Deliveries, Events
from exchange.models import ExportFormat, ExportKind
from exchange.refusals import Refused

PAGE = 2000
LIMITS: Mapping[str, int] = {ExportFormat.XLSX: 100_000, ExportFormat.PDF: 5_000}
FORMATS: Mapping[str, tuple[ExportFormat, ...]] = {
    ExportKind.TRAIL: (ExportFormat.JSONL, ExportFormat.CSV, ExportFormat.XLSX, ExportFormat.PDF),
    ExportKind.DELIVERIES: (ExportFormat.CSV, ExportFormat.XLSX, ExportFormat.PDF),
    ExportKind.REGISTER_OUT: (ExportFormat.XLSX, ExportFormat.PDF),
    ExportKind.REGISTER_IN: (ExportFormat.XLSX, ExportFormat.PDF),
}
_REGISTERS: Mapping[str, type[Register]] = {
    ExportKind.REGISTER_OUT: Outgoing,
    ExportKind.REGISTER_IN: Incoming,
}

Advance = Callable[[int, int], None]  # rows done, rows in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to export, for whom. `insist`: in XLSX even when a spreadsheet is no longer the right form."""

    kind: str
    format: str
    chosen: Filter
    reader: Reader
    insist: bool = False

    def source(self) -> Source:
        """Its rows. Raises Refused: request.invalid, export.not-allowed, recipient.unknown."""
        if self.format not in FORMATS[self.kind]:
            raise Refused("request.invalid", why=f"format: {', '.join(FORMATS[self.kind])}")
        register = _REGISTERS.get(self.kind)
        if register:
            return register(chosen=self.chosen, agency=self._agency())
        made = Events if self.kind == ExportKind.TRAIL else Deliveries
        return made(self.chosen, self.reader)

    @property
    def limit(self) -> int | None:
        """How many rows the form may have; None for any number."""
        return None if self.insist and self.format == ExportFormat.XLSX else LIMITS.get(self.format)

    def check(self, rows: int) -> None:
        """Raises Refused export.too-many."""
        if self.limit is not None and rows > self.limit:
            raise Refused("export.too-many", format=self.format.upper(), limit=self.limit)

    def _agency(self) -> directory.Agency:
        """A register is of one agency, which must be one of the reader's."""
        if len(self.chosen.agency) != 1:
            raise Refused("request.invalid", why="agency: một mã / one code")
        found = agency_of(self.chosen.agency[0])
        if not self.reader.reads_all and found not in (self.reader.agencies or ()):
            raise Refused("export.not-allowed")
        return found


def write(path: Path, wanted: Wanted, advance: Advance, now: datetime) -> int:
    """Write the file; the number of its rows. In Vietnamese, whoever asks: it may go to court.

    Raises Refused, and whatever `advance` raises.
    """
    with translation.override("vi"):
        source = wanted.source()
        if wanted.format == ExportFormat.JSONL:
            return _jsonl(path, wanted, advance, now)
        keys = source.keys()
        wanted.check(len(keys))
        cover = registers.cover(source) if isinstance(source, Register) else None
        pages = in_pages(source, keys, lambda done: advance(done, len(keys)), PAGE)
        if wanted.format == ExportFormat.CSV:
            files.write_csv(path, source.columns, pages)
        elif wanted.format == ExportFormat.XLSX:
            files.write_xlsx(path, source.columns, pages, head=cover.all if cover else [])
        else:
            rows = [row for page in pages for row in page]
            title = str(ExportKind(wanted.kind).label)
            pdf.write_table(path, source.columns, rows, title=title, about=wanted.chosen.words, cover=cover)
        return len(keys)


def _jsonl(path: Path, wanted: Wanted, advance: Advance, now: datetime) -> int:
    parts = trail.parts(wanted.chosen, wanted.reader)
    total = sum(len(part.places) for part in parts)
    trail.write(path, parts, _readme(wanted, total, now), lambda done: advance(done, total), PAGE)
    return total


def _readme(wanted: Wanted, total: int, now: datetime) -> str:
    key = f"{settings.ENVIRONMENT.base_url.rstrip('/')}/api/v1/logs"
    return (
        f"Trích nhật ký của {settings.ENVIRONMENT.name} ({settings.ENVIRONMENT.code})\n"
        f"Lập lúc {now.isoformat(timespec='seconds')}, {total} sự kiện.\n"
        f"Bộ lọc: {wanted.chosen.words}\n\n"
        "Kiểm tra ngoại tuyến, không cần tin máy chủ:\n"
        "    python -m exchange.evidence.verify TỆP.zip --log-key KHÓA\n"
        f"KHÓA là khóa công khai của nhật ký (đối chiếu với {key}, và với bản giấy do trục cung cấp).\n\n"
        "Có tệp proofs: bản trích theo bộ lọc; chứng minh những gì nêu ra, không chứng minh là đầy đủ.\n"
        "Không có tệp proofs: một đoạn liên tục của nhật ký; chứng minh cả tính đầy đủ.\n"
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def note(wanted: Wanted, stream: UUID, *, rows: int, digest: str, now: datetime) -> None:
    """The event of an export; in the caller's transaction."""
    log.note(
        stream,
        "ExportIssued",
        actor=wanted.reader.actor,
        at=now,
        what=f"{wanted.kind}.{wanted.format}",
        target=str(stream),
        rows=rows,
        digest=digest,
        filter_sha256=sha256(wanted.chosen.query.encode()).hexdigest(),
    )
