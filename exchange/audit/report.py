"""What a check of the log can find: the names of the checks, and the findings so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from exchange.evidence.tree import Broken

CHECKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "body": ("Nội dung sự kiện khớp mã băm", "The bytes of an event give its leaf hash"),
        "row": ("Dòng dữ liệu khớp nội dung sự kiện", "The row of an event says what its bytes say"),
        "stream": ("Chuỗi sự kiện liên tục (seq, prev)", "Streams are unbroken (seq, prev)"),
        "index": ("Chỉ số liên tục, không thiếu dòng", "Indices are contiguous, no entry is missing"),
        "tile": ("Mảnh cây băm khớp sự kiện", "The tiles are those of the events"),
        "root": ("Gốc cây khớp checkpoint đã ký", "The events give the roots that were signed"),
        "signature": ("Chữ ký trên checkpoint", "The signatures of the checkpoints hold"),
        "anchor": ("Xác nhận của bên ngoài trên checkpoint", "What outsiders signed of a checkpoint holds"),
        "signer": ("Nhật ký nối tiếp điều bộ ký còn nhớ", "The log extends what the signer remembers"),
        "begin": ("Sổ mới nối với sổ trước", "A new log carries the last checkpoint of the one before"),
        "waiting": ("Sự kiện vào nhật ký kịp thời", "No event waits too long for the sealer"),
        "lost": ("Không sự kiện nào ngoài nhật ký", "No event is neither in a log nor waiting"),
        "state": ("Trạng thái khớp sự kiện cuối", "Every state is that of the last event"),
        "subject": ("Gói tin và lượt gửi nêu tên đều còn", "Packages and deliveries named are there"),
        "receipt": ("Biên nhận đã lưu đúng", "Stored receipts verify"),
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold: the name of the check, where, and what was found."""

    check: str
    where: str
    detail: str = ""

    def text(self) -> str:
        """A line for a person."""
        vi, en = CHECKS[self.check]
        return f"{self.check}: {vi} / {en}: {self.where}" + (f" ({self.detail})" if self.detail else "")


@dataclass(slots=True)
class Result:
    """What was found so far, and how many events were looked at."""

    findings: list[Finding] = field(default_factory=list)
    events: int = 0

    def say(self, check: str, where: object, detail: object = "") -> None:
        """Add a finding."""
        CHECKS[check]
        self.findings.append(Finding(check, str(where), str(detail)))

    def expect(self, check: str, where: object, work: Callable[[], object]) -> bool:
        """Do `work`, which raises Broken where something does not hold."""
        try:
            work()
        except Broken as error:
            self.say(check, where, error)
            return False
        return True
