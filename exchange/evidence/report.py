"""What the verifier says: one line for everything it checked, and for everything it did not."""

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TypeVar
from xml.etree.ElementTree import ParseError

T = TypeVar("T")
Words = tuple[str, str]  # Vietnamese, English

OK, FAILED, WARNING, UNCHECKED = "ok", "failed", "warning", "not checked"
LABELS = {
    OK: ("ĐÚNG", "OK"),
    FAILED: ("SAI", "FAILED"),
    WARNING: ("LƯU Ý", "WARNING"),
    UNCHECKED: ("CHƯA KIỂM TRA", "NOT CHECKED"),
}
# Everything that a damaged or hostile file can make the readers of the standard library raise.
UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
)


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what (`vi`, `en`), of which file (`where`), with which outcome."""

    status: str
    where: str
    vi: str
    en: str
    detail: str = ""

    def text(self, language: str) -> str:
        """The line for a person, in `language`: "vi", "en" or "both"."""
        vi, en = LABELS[self.status]
        words = {"vi": f"{vi}: {self.vi}", "en": f"{en}: {self.en}"}
        line = words.get(language) or f"{vi}: {self.vi} | {en}: {self.en}"
        return f"{self.where}: {line}" + (f" ({self.detail})" if self.detail else "")


@dataclass(slots=True)
class Report:
    """The lines so far."""

    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing failed."""
        return any(c.status == OK for c in self.checks) and all(c.status != FAILED for c in self.checks)

    def say(self, status: str, where: str, words: Words, detail: str = "") -> None:
        """Add a line."""
        self.checks.append(Check(status, where, *words, detail))

    def run(self, where: str, words: Words, work: Callable[[], T], quiet: bool = False) -> T | None:
        """Do `work` and report it; None when it failed. `quiet` reports the failure only."""
        try:
            result = work()
        except UNREADABLE as error:
            self.say(FAILED, where, words, str(error) or type(error).__name__)
            return None
        if not quiet:
            self.say(OK, where, words)
        return result

    def lines(self, language: str) -> Iterator[str]:
        """The report for a person."""
        yield from (check.text(language) for check in self.checks)
        count = {status: sum(c.status == status for c in self.checks) for status in LABELS}
        numbers = [", ".join(f"{LABELS[s][i]} {n}" for s, n in count.items()) for i in (0, 1)]
        vi, en = (
            f"KẾT LUẬN: {LABELS[OK if self.ok else FAILED][0]}",
            f"RESULT: {'OK' if self.ok else 'FAILED'}",
        )
        words = {"vi": f"{vi} ({numbers[0]})", "en": f"{en} ({numbers[1]})"}
        yield words.get(language) or f"{words['vi']} | {words['en']}"

    def json(self) -> str:
        """The report for a program."""
        return json.dumps({"ok": self.ok, "checks": [asdict(c) for c in self.checks]}, ensure_ascii=False)
