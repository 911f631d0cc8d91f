"""The items of the lists, as the clients read them: what is not there is left out, null breaks them."""

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from exchange.models import Answer, Delivery, Package, State
from exchange.models.delivery import DeliveryQuerySet
from exchange.vxp.answers import Item

SERVICE = "eDoc"
MESSAGES = {"edoc": "document", "status": "status"}
_CHUNK = 1_000
_COLUMNS = ("id", "queued_at", "served_at", "package__kind", "package__sender_code", "recipient_code")
_SENT = {
    State.QUEUED: "initial",
    State.HANDED_OVER: "done",
    State.EXPIRED: "fail",
    State.UNDELIVERABLE: "fail",
}


def received(waiting: DeliveryQuerySet) -> Iterator[Item]:
    """What waits for a system: one item per package and recipient."""
    rows = waiting.in_order().values_list(*_COLUMNS).iterator(_CHUNK)
    for doc_id, queued_at, served_at, kind, sender, recipient in rows:
        yield {
            "docId": str(doc_id),
            "serviceType": SERVICE,
            "messageType": message_type(kind),
            "created_time": moment(queued_at),
            "updated_time": moment(served_at or queued_at),
            "from": sender,
            "to": recipient,
            "status": "initial",  # also when it was fetched before: clients ask for what is new only
            "status_desc": str(State.QUEUED.label),
        }


def sent(package: Package) -> Iterator[Item]:
    """What became of a package that the caller sent: one item per recipient."""
    for row in package.deliveries.order_by("id").iterator(_CHUNK):
        yield _without_empty(
            {
                "serviceType": SERVICE,
                "senderDocId": str(package.id),
                "receiverDocId": str(row.id),
                "fromCode": package.sender_code,
                "toCode": row.recipient_code,
                "title": package.subject,
                "notation": package.code,
                "messageType": message_type(package.kind),
                "sentTime": moment(package.accepted_at),
                "receivedTime": moment(row.handed_over_at) if row.handed_over_at else "",
                "sendStatus": _send_status(row),
                "sendStatusDesc": str(row.get_state_display()),
                "receiveStatus": "" if row.answer == Answer.NONE else row.answer,
                "receiveStatusDesc": "" if row.answer == Answer.NONE else str(row.get_answer_display()),
            }
        )


def _send_status(row: Delivery) -> str:
    """The transport status of the protocol; what it has no word for keeps the hub's."""
    if row.state == State.QUEUED and row.begun:
        return "processing"
    return _SENT.get(State(row.state), row.state)


def message_type(kind: str) -> str:
    """`edoc` or `status`."""
    return "status" if kind == "status" else "edoc"


def moment(at: datetime) -> str:
    """A time in the notation of the packets, local and without a zone."""
    return timezone.localtime(at).strftime("%Y/%m/%d %H:%M:%S")


def _without_empty(item: Item) -> Item:
    return {name: value for name, value in item.items() if value}
