"""The delivery proof of one document: what its page says, for the reader who prints it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from agencies.directory import Agency
from exchange import proofs
from exchange.exports import codes, pdf
from exchange.exports.cells import text_of
from exchange.exports.pdf import Sheet
from exchange.exports.readers import Reader
from exchange.models import Answer, Delivery, Event, Package, SignatureState, State
from exchange.workdays import day_of

ROWS = 18  # recipients that fit the page; more are counted


@dataclass(frozen=True, slots=True)
class Proof:
    """What a reader may have proved about a package."""

    package: Package
    deliveries: list[Delivery]
    code: str
    at: datetime

    @property
    def address(self) -> str:
        """Where anybody may check the code."""
        query = urlencode({"q": self.code})
        return f"{settings.ENVIRONMENT.base_url.rstrip('/')}{reverse('check')}?{query}"


def of(package: Package, reader: Reader, now: datetime) -> Proof:
    """The proof for `reader`: the sender's shows every recipient, a recipient's its own agencies."""
    rows = reader.deliveries().filter(package=package).select_related("recipient").order_by("pk")
    deliveries = list(rows)
    return Proof(package, deliveries, codes.code_for(package, _only(package, deliveries, reader), now), now)


def _only(package: Package, deliveries: list[Delivery], reader: Reader) -> Agency | None:
    """The recipient to which a code is held, None for who sees all of the document."""
    if reader.agencies is None or reader.agencies.filter(pk=package.sender_id).exists():
        return None
    return deliveries[0].recipient


def write(path: Path, proof: Proof) -> None:
    """One page, in Vietnamese."""
    with translation.override("vi"):
        pdf.write_sheet(path, _sheet(proof))


def _sheet(proof: Proof) -> Sheet:
    package = proof.package
    trouble_first = sorted(proof.deliveries, key=lambda row: (not _failed(row), row.pk))
    shown = trouble_first[:ROWS]
    rest = len(proof.deliveries) - len(shown)
    return Sheet(
        issuer=settings.ENVIRONMENT.name,
        title="XÁC NHẬN GỬI, NHẬN VĂN BẢN ĐIỆN TỬ",
        dated=pdf.long_date(day_of(proof.at)),
        facts=[
            ("Số, ký hiệu", package.code),
            ("Ngày văn bản", text_of(package.promulgated_on)),
            ("Tên loại, trích yếu", ": ".join(filter(None, (package.type_name, package.subject)))),
            ("Cơ quan gửi", f"{package.sender.name} ({package.sender_code})"),
            ("Mã văn bản", package.document_id),
            ("Trục tiếp nhận lúc", text_of(package.accepted_at)),
            ("Chữ ký số của gói tin", str(SignatureState(package.signature_state).label)),
            ("SHA-256 gói tin gốc", package.sha256),
        ],
        headings=("Cơ quan nhận", "Giao cho hệ thống nhận", "Trả lời của cơ quan nhận"),
        rows=[(row.recipient.name, _handed(row), _answered(row)) for row in shown],
        more=f"… và {rest} cơ quan nhận khác; xem đủ tại địa chỉ kiểm tra." if rest else "",
        notes=_notes(proof),
        address=proof.address,
        code=codes.spaced(proof.code),
    )


def _failed(row: Delivery) -> bool:
    return row.state in (State.EXPIRED, State.UNDELIVERABLE) or row.answer == Answer.REFUSED


def _handed(row: Delivery) -> str:
    state = str(State(row.state).label)
    if not row.handed_over_at:
        return state
    handed = f"{State.HANDED_OVER.label}, {text_of(row.handed_over_at)}"
    return handed if row.state == State.HANDED_OVER else f"{handed}; nay: {state.lower()}"


def _answered(row: Delivery) -> str:
    answer = str(Answer(row.answer).label)
    return f"{answer}, {text_of(row.answered_at)}" if row.answered_at else answer


def _notes(proof: Proof) -> list[str]:
    place = _place(proof.package)
    sealed = f"Sự kiện tiếp nhận là dòng số {place.index} của nhật ký {place.origin}." if place else ""
    return [
        *filter(None, [sealed]),
        "Giao cho hệ thống nhận không có nghĩa là đã có người xử lý; việc xử lý là cột trả lời.",
        "Bản in này để tra cứu. Bằng chứng đầy đủ, kiểm tra được mà không cần tin trục, là gói bằng chứng "
        "(.asice) của cùng văn bản.",
    ]


def _place(package: Package) -> proofs.Place | None:
    first = Event.objects.filter(stream=package.stream, seq=1).values_list("pk", flat=True).first()
    return proofs.places([first]).get(first) if first else None
