"""The hub's rows."""

from exchange.models.allowance import Allowance
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
from exchange.models.fact import Fact
from exchange.models.feed import FeedEntry, FeedHead
from exchange.models.holiday import Holiday
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
from exchange.models.redaction import Redacted, RedactionOrder

__all__ = [
    "Allowance",
    "Answer",
    "Attempt",
    "BusinessType",
    "Checkpoint",
    "Delivery",
    "Direction",
    "Event",
    "EventBody",
    "EventText",
    "Fact",
    "FeedEntry",
    "FeedHead",
    "Holiday",
    "Kind",
    "Lane",
    "Log",
    "LogCheck",
    "LogEntry",
    "Measure",
    "Outcome",
    "Package",
    "Pending",
    "Redacted",
    "RedactionOrder",
    "Request",
    "RequestState",
    "SealHeader",
    "SignatureState",
    "State",
    "StatisticsDay",
    "StatisticsDelta",
    "StoredReceipt",
    "Tile",
]
