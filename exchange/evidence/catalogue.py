"""Every type of event: what it says, which fields it has. Names follow ETSI EN 319 522-1 where it has a word.

`docs/audit-log.md` shows this table to auditors; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

COMMON = frozenset({"v", "id", "event", "time", "actor", "issuer", "policy", "stream", "seq"})

_PACKAGE = "package doc_sha256 sender"
_DELIVERY = "delivery package recipient"
_DOC = "doc doc_no"
_AROUND = "doc doc_no doc_sha256 sender message"  # what every event of a delivery may say besides

# First words of the reason codes that fit a kind of no; refusals.py has the codes of the hub itself.
_INTAKE = "package signature certificate sender recipient document status delivery auth request hub"
_TRANSPORT = "transport recipient delivery hub"
_ANSWER = "answer status document"


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event. The last five are words in one text: the fields that it needs besides COMMON, and
    may have; the edXML `codes` that it may carry as status; the first words of the codes of its reason:
    `no` for a negative event, which must have one, `why` where a reason may be given."""

    name: str
    label_vi: str
    label_en: str
    meaning_vi: str
    meaning_en: str
    needs: str
    may: str = ""
    no: str = ""
    why: str = ""
    codes: str = ""

    @property
    def negative(self) -> bool:
        """Whether it says no to somebody, and so must say why."""
        return bool(self.no)

    @property
    def required(self) -> frozenset[str]:
        """The fields that every event of this type has."""
        return COMMON | {*self.needs.split(), *(["reason"] if self.no else [])}

    @property
    def allowed(self) -> frozenset[str]:
        """Every field that it may have. `prev` stands in all but the first event of a stream."""
        return self.required | {*self.may.split(), *(["reason"] if self.why else []), "prev"}

    @property
    def reasons(self) -> tuple[str, ...]:
        """The first words of the reason codes that fit."""
        return tuple((self.no or self.why).split())

    @property
    def statuses(self) -> tuple[str, ...]:
        """The status codes that fit."""
        return tuple(self.codes.split())


_TYPES = (
    # --- the way in ---------------------------------------------------------------------------------------
    EventType(
        "SubmissionAcceptance",
        "Trục đã tiếp nhận gói tin",
        "Taken by the hub",
        "Trục đã kiểm tra, lưu bền vững gói tin và lập đủ các lượt gửi nêu tên.",
        "The hub checked the package, stored it durably and made every delivery that it names.",
        f"{_PACKAGE} deliveries",
        f"{_DOC} digest",
    ),
    EventType(
        "SubmissionRejection",
        "Trục từ chối gói tin",
        "Refused by the hub",
        "Trục không nhận gói tin có mã băm này; không có lượt gửi nào được lập.",
        "The hub did not take the package with this digest; no delivery was made.",
        "doc_sha256",
        f"package sender {_DOC}",
        no=_INTAKE,
    ),
    EventType(
        "SignatureReport",
        "Đã kiểm tra chữ ký trong tệp PDF",
        "PDF signatures reported on",
        "Trục đã kiểm tra chữ ký trong các tệp PDF kèm theo; mã băm là của báo cáo.",
        "The hub checked the signatures inside the PDF attachments; the digest is of its report.",
        f"{_PACKAGE} digest",
        _DOC,
    ),
    # --- the way out --------------------------------------------------------------------------------------
    EventType(
        "ContentConsignment",
        "Đã đưa vào hàng đợi của bên nhận",
        "Put in the recipient's queue",
        "Lượt gửi đã nằm trong hàng đợi của cơ quan nhận.",
        "The delivery stands in the queue of the receiving agency.",
        _DELIVERY,
        _AROUND,
    ),
    EventType(
        "ConsignmentNotification",
        "Đã báo cho hệ thống nhận",
        "The recipient's system was notified",
        "Hệ thống nhận đã xác nhận thông báo rằng có gói tin đang chờ.",
        "The receiving system confirmed the notice that a package is waiting.",
        _DELIVERY,
        _AROUND,
    ),
    EventType(
        "ConsignmentNotificationFailure",
        "Báo cho hệ thống nhận không thành",
        "The recipient's system could not be notified",
        "Thông báo không tới được hệ thống nhận; gói tin vẫn chờ trong hàng đợi.",
        "The notice did not reach the receiving system; the package still waits in its queue.",
        _DELIVERY,
        _AROUND,
        no=_TRANSPORT,
    ),
    EventType(
        "ContentHandover",
        "Đã giao cho hệ thống nhận",
        "Handed to the recipient's system",
        "Hệ thống nhận đã xác nhận, kèm mã băm do chính nó tính và khớp với gói tin gốc.",
        "The receiving system acknowledged with the digest that it computed, equal to the original's.",
        f"{_DELIVERY} doc_sha256 digest",
        _AROUND,
    ),
    EventType(
        "ContentHandoverUnconfirmed",
        "Đã giao, chưa có xác nhận mã băm",
        "Handed over, digest not confirmed",
        "Hệ thống nhận đã lấy gói tin nhưng không gửi lại mã băm; mã băm ở đây là của bản đã đưa ra.",
        "The receiving system took the bytes, echoing no digest; this digest is of what was given out.",
        f"{_DELIVERY} digest",
        _AROUND,
    ),
    EventType(
        "ContentHandoverFailure",
        "Không giao được",
        "Could not be handed over",
        "Mọi lần gửi đều không thành, hoặc nơi nhận không nhận văn bản như vậy; trục không tự gửi lại nữa.",
        "Every attempt failed, or the recipient takes no such document; the hub does not try again itself.",
        _DELIVERY,
        _AROUND,
        no=_TRANSPORT,
    ),
    EventType(
        "AcceptanceRejectionExpiry",
        "Hết hạn giao",
        "Expired before handover",
        "Hết thời hạn mà gói tin chưa được giao, hoặc chưa có trả lời.",
        "The deadline passed before the package was handed over or answered.",
        _DELIVERY,
        _AROUND,
        no="deadline",
    ),
    EventType(
        "Requeued",
        "Gửi lại",
        "Sent again",
        "Lượt gửi đã hết hạn hoặc không giao được nay trở lại hàng đợi; biên nhận cũ vẫn đúng.",
        "An expired or undeliverable delivery is back in the queue; the old receipt stays true.",
        _DELIVERY,
        _AROUND,
        why="operator sender deadline transport",
    ),
    EventType(
        "Reminder",
        "Nhắc bên nhận",
        "Recipient reminded",
        "Cơ quan nhận được nhắc về lượt gửi này.",
        "The receiving agency was reminded of this delivery.",
        _DELIVERY,
        _AROUND,
    ),
    EventType(
        "ExpiresSoon",
        "Sắp hết hạn giao",
        "Expires soon",
        "Bên gửi được báo rằng lượt gửi sắp hết hạn.",
        "The sender was told that the delivery is about to expire.",
        _DELIVERY,
        _AROUND,
    ),
    EventType(
        "Superseded",
        "Đã được thay bằng bản mới",
        "Superseded",
        "Bản cập nhật hoặc thay thế tới trước khi bản này được giao; bản này không giao nữa.",
        "An update or replacement came before the handover; this version is no longer delivered.",
        f"{_DELIVERY} message",
        _AROUND,
        why="sender " + _ANSWER,
    ),
    # --- what the recipient says --------------------------------------------------------------------------
    EventType(
        "Arrival",
        "Hệ thống nhận báo đã đến (01)",
        "Arrived, says the recipient (01)",
        "Lời của hệ thống nhận: văn bản đã đến, chưa ai xử lý. Trục không tự suy ra.",
        "The receiving system's own word that the document arrived; the hub never infers it.",
        f"{_DELIVERY} status",
        _AROUND,
        codes="01",
    ),
    EventType(
        "ConsignmentAcceptance",
        "Bên nhận đã tiếp nhận (03)",
        "Accepted by the recipient (03)",
        "Cơ quan nhận đã tiếp nhận văn bản.",
        "The receiving agency accepted the document.",
        f"{_DELIVERY} status",
        _AROUND,
        codes="03",
    ),
    EventType(
        "ConsignmentRejection",
        "Bên nhận từ chối (02)",
        "Refused by the recipient (02)",
        "Cơ quan nhận từ chối tiếp nhận văn bản.",
        "The receiving agency refused the document.",
        f"{_DELIVERY} status",
        _AROUND,
        no=_ANSWER,
        codes="02",
    ),
    EventType(
        "Processing",
        "Bên nhận đang xử lý (04–06)",
        "Being handled by the recipient (04–06)",
        "Cơ quan nhận báo: phân công (04), đang xử lý (05) hoặc hoàn thành (06).",
        "The receiving agency reports: assigned (04), in progress (05) or done (06).",
        f"{_DELIVERY} status",
        _AROUND,
        codes="04 05 06",
    ),
    # --- recall, update, replacement ----------------------------------------------------------------------
    EventType(
        "RecallRequested",
        "Yêu cầu thu hồi",
        "Recall requested",
        "Bên gửi yêu cầu thu hồi hoặc lấy lại (13) văn bản.",
        "The sender asked for the document back (a recall, or status 13).",
        f"{_DELIVERY} message",
        f"{_AROUND} status",
        why=_ANSWER + " sender",
        codes="13",
    ),
    EventType(
        "RecallAgreed",
        "Đồng ý thu hồi",
        "Recall agreed",
        "Bên nhận đồng ý trả lại văn bản.",
        "The recipient agreed to give the document back.",
        _DELIVERY,
        f"{_AROUND} status",
        codes="03 15",
    ),
    EventType(
        "RecallRefused",
        "Không đồng ý thu hồi",
        "Recall refused",
        "Bên nhận không đồng ý trả lại văn bản.",
        "The recipient did not agree to give the document back.",
        _DELIVERY,
        f"{_AROUND} status",
        no=_ANSWER,
        codes="02 16",
    ),
    EventType(
        "Recalled",
        "Đã thu hồi",
        "Recalled",
        "Lượt gửi đã được rút: chưa giao nên rút ngay, hoặc bên nhận đã đồng ý.",
        "The delivery is withdrawn: at once before handover, or after the recipient agreed.",
        _DELIVERY,
        _AROUND,
        why="sender " + _ANSWER,
    ),
    EventType(
        "ChangeRequested",
        "Yêu cầu cập nhật hoặc thay thế",
        "Update or replacement requested",
        "Bên gửi gửi bản cập nhật hoặc thay thế cho văn bản đã giao.",
        "The sender sent an update or a replacement of a document already handed over.",
        f"{_DELIVERY} message",
        _AROUND,
        why="sender " + _ANSWER,
    ),
    EventType(
        "ChangeAgreed",
        "Đồng ý cập nhật hoặc thay thế",
        "Update or replacement agreed",
        "Bên nhận đồng ý với thay đổi.",
        "The recipient agreed to the change.",
        _DELIVERY,
        f"{_AROUND} status",
        codes="03 15",
    ),
    EventType(
        "ChangeRefused",
        "Không đồng ý cập nhật hoặc thay thế",
        "Update or replacement refused",
        "Bên nhận không đồng ý với thay đổi.",
        "The recipient did not agree to the change.",
        _DELIVERY,
        f"{_AROUND} status",
        no=_ANSWER,
        codes="02 16",
    ),
    # --- other hubs ---------------------------------------------------------------------------------------
    EventType(
        "RelayAcceptance",
        "Trục khác đã tiếp nhận",
        "Taken by another hub",
        "Trục chuyển tiếp đã nhận gói tin.",
        "The hub that relays took the package.",
        f"{_DELIVERY} target",
        f"{_AROUND} digest",
    ),
    EventType(
        "RelayRejection",
        "Trục khác từ chối",
        "Refused by another hub",
        "Trục chuyển tiếp từ chối gói tin.",
        "The hub that relays refused the package.",
        f"{_DELIVERY} target",
        _AROUND,
        no="relay " + _INTAKE,
    ),
    EventType(
        "RelayFailure",
        "Không chuyển được sang trục khác",
        "Could not be relayed",
        "Mọi lần chuyển sang trục khác đều không thành.",
        "Every attempt to relay to the other hub failed.",
        f"{_DELIVERY} target",
        _AROUND,
        no="relay " + _TRANSPORT,
    ),
    # --- the hub itself -----------------------------------------------------------------------------------
    EventType(
        "NewLog",
        "Mở sổ nhật ký mới",
        "New log",
        "Sự kiện đầu tiên của một nhật ký; mang theo checkpoint cuối của nhật ký năm trước, nếu có.",
        "The first event of a log; carries the last checkpoint of the year before, if there was one.",
        "target",
        "checkpoint",
        why="operator",
    ),
    EventType(
        "KeyRotation",
        "Đổi khóa",
        "Key rotation",
        "Khóa nêu tên được thay; mã băm là của khóa hoặc chứng thư mới.",
        "The key that is named was replaced; the digest is of the new key or certificate.",
        "what target digest",
        why="key operator",
    ),
    EventType(
        "PolicyChange",
        "Đổi chính sách hoặc danh bạ",
        "Policy or registry changed",
        "Một thiết lập hoặc một mục trong danh bạ cơ quan, hệ thống, chứng thư đã đổi.",
        "A setting, or an entry of the registry of agencies, systems and certificates, has changed.",
        "what target",
        "digest",
        why="policy operator registry certificate",
    ),
    EventType(
        "AdminAccess",
        "Người quản trị xem nội dung",
        "Content opened by a person",
        "Một người đã mở nội dung, tệp đính kèm hoặc nhật ký nêu tên.",
        "A person opened the content, attachment or trail that is named.",
        "what",
        f"target package delivery digest {_DOC}",
        why="access operator",
    ),
    EventType(
        "ExportIssued",
        "Đã xuất dữ liệu",
        "Export issued",
        "Một bản xuất đã được lập: ai, theo bộ lọc nào, bao nhiêu dòng, mã băm của tệp.",
        "An export was made: who, by which filter, how many rows, and the digest of the file.",
        "what digest rows",
        "filter_sha256 target package delivery",
    ),
    EventType(
        "Redaction",
        "Xóa nội dung sự kiện",
        "Event bodies removed",
        "Nội dung các sự kiện có chỉ số này đã bị xóa theo quy định; mã băm vẫn còn trong nhật ký.",
        "The bodies of the events at these indices were removed by rule or order; their hashes stay.",
        "indices target reason",
        "package delivery",
        why="retention order",
    ),
    EventType(
        "ContentRemoval",
        "Xóa bản gốc của gói tin",
        "Original bytes removed",
        "Bản gốc của gói tin đã bị xóa khỏi kho theo quy định hoặc theo lệnh; mã băm của nó vẫn còn.",
        "The original bytes of the package were removed by rule or order; their digest stays.",
        f"{_PACKAGE} reason",
        _DOC,
        why="retention order",
    ),
)

CATALOGUE: Mapping[str, EventType] = MappingProxyType({entry.name: entry for entry in _TYPES})
