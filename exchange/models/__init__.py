"""The hub's rows."""

from exchange.models.allowance import Allowance
from exchange.models.anchor import Anchor, AnchorKind, WitnessedLog
from exchange.models.circuit import Circuit
from exchange.models.counter import Direction, Measure, StatisticsDay, StatisticsDelta
from exchange.models.delivery import (
    Answer,
    Attempt,
    Delivery,
    Lane,
    Outcome,
    Request,
    RequestState,
    State,
)
from exchange.models.event import Event, EventBody, EventText
from exchange.models.export import (
    AttachedFile,
    Every,
    Export,
    ExportFormat,
    ExportKind,
    ExportSchedule,
    ExportState,
    ProofCode,
)
from exchange.models.fact import Fact
from exchange.models.feed import FeedEntry, FeedHead
from exchange.models.holiday import Holiday
from exchange.models.inbox_notice import InboxNotice
from exchange.models.log import (
    Checkpoint,
    Log,
    LogCheck,
    LogEntry,
    Pending,
    SealHeader,
    StoredReceipt,
    Tile,
)
from exchange.models.package import BusinessType, Kind, Package, SignatureState
from exchange.models.pdf_report import PdfReport, PdfVerdict
from exchange.models.redaction import Redacted, RedactionOrder
from exchange.models.saved_filter import SavedFilter

__all__ = [
    "Allowance",
    "Anchor",
    "AnchorKind",
    "Answer",
    "AttachedFile",
    "Attempt",
    "BusinessType",
    "Checkpoint",
    "Circuit",
    "Delivery",
    "Direction",
    "Event",
    "EventBody",
    "EventText",
    "Every",
    "Export",
    "ExportFormat",
    "ExportKind",
    "ExportSchedule",
    "ExportState",
    "Fact",
    "FeedEntry",
    "FeedHead",
    "Holiday",
    "InboxNotice",
    "Kind",
    "Lane",
    "Log",
    "LogCheck",
    "LogEntry",
    "Measure",
    "Outcome",
    "Package",
    "PdfReport",
    "PdfVerdict",
    "Pending",
    "ProofCode",
    "Redacted",
    "RedactionOrder",
    "Request",
    "RequestState",
    "SavedFilter",
    "SealHeader",
    "SignatureState",
    "State",
    "StatisticsDay",
    "StatisticsDelta",
    "StoredReceipt",
    "Tile",
    "WitnessedLog",
]
