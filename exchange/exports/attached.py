"""Digests of the files in packages that an older version took: since then intake writes them itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import structlog

from exchange import vault
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.models import AttachedFile, Kind, Package, bulk
from exchange.refusals import Refused

BATCH = 200  # packages between two commits

_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """What was read: `unread` packages have no bytes left, or bytes that this version cannot read."""

    packages: int = 0
    files: int = 0
    unread: int = 0


def index(progress: Callable[[int], None] = lambda done: None) -> Outcome:
    """Note the digest of every file in documents that have none noted, oldest first, beside a running hub.

    Stopped at any time, it goes on where it was; documents without files are read again each time.
    """
    outcome = Outcome()
    for batch in _batches():
        found = [(package.pk, digest) for package in batch for digest in sorted(_digests(package, outcome))]
        bulk.insert(AttachedFile, ("package_id", "sha256"), found)
        outcome.packages += len(batch)
        outcome.files += len(found)
        progress(outcome.packages)
    return outcome


def _batches() -> Iterator[list[Package]]:
    rows = Package.objects.filter(kind=Kind.DOCUMENT, files=None).order_by("pk").only("pk", "sha256")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


def _digests(package: Package, outcome: Outcome) -> set[bytes]:
    try:
        with vault.open_bytes(package.sha256) as file:
            content = envelope.read(xml.parse(file.read()), today=date.max)
    except (vault.Missing, Refused) as error:
        outcome.unread += 1
        _logger.warning("attachments_not_indexed", package=str(package.pk), error=type(error).__name__)
        return set()
    return {bytes.fromhex(item.sha256) for item in content.attachments}
