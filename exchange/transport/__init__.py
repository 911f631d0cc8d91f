"""The only package that opens a connection to a party outside the installation.

Every socket to a party goes through the guard of `connection`, redirects are never followed, answers are read
up to a small limit, every wait has an end.
"""

from exchange.transport.calls import (
    Notice,
    Submitted,
    Told,
    Unanswered,
    Unfetched,
    Upstream,
    ask,
    fetch,
    notify,
    submit,
    tell,
)
from exchange.transport.connection import AddressRefused, check_address, check_identity
from exchange.transport.push import MISSING, Ended, Pusher, Relay, Result, Shipment

__all__ = [
    "MISSING",
    "AddressRefused",
    "Ended",
    "Notice",
    "Pusher",
    "Relay",
    "Result",
    "Shipment",
    "Submitted",
    "Told",
    "Unanswered",
    "Unfetched",
    "Upstream",
    "ask",
    "check_address",
    "check_identity",
    "fetch",
    "notify",
    "submit",
    "tell",
]
