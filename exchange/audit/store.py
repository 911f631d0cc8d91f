"""Every package's bytes, read again: what the vault has must be what was accepted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import file_digest
from io import BufferedReader
from typing import cast

from exchange import vault
from exchange.models import Event, Package

BATCH = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """A package whose bytes are not as they must be: `missing`, `altered`, or `left` after a removal."""

    problem: str
    package: str
    sha256: str


@dataclass(slots=True)
class Outcome:
    """What was looked at, and what was found."""

    packages: int = 0
    size: int = 0
    removed: int = 0
    findings: list[Finding] = field(default_factory=list)


def verify(progress: Callable[[int], None] = lambda done: None) -> Outcome:
    """Rehash everything that is left; what was removed by rule or order must be gone."""
    outcome = Outcome()
    for batch in _batches():
        gone = set(
            Event.objects.filter(
                name="ContentRemoval", stream__in=[package.pk for package in batch]
            ).values_list("stream", flat=True)
        )
        for package in batch:
            _check(outcome, package, removed=package.pk in gone)
        outcome.packages += len(batch)
        progress(outcome.packages)
    return outcome


def _batches() -> Iterator[list[Package]]:
    """By key: the vault is read between two queries, and packages accepted meanwhile come last."""
    rows = Package.objects.order_by("pk").only("pk", "sha256", "size")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


def _check(outcome: Outcome, package: Package, *, removed: bool) -> None:
    try:
        with vault.open_bytes(package.sha256) as file:
            if removed:
                problem = "left" if not _shared(package) else ""
            else:
                digest = file_digest(cast("BufferedReader", file), "sha256").hexdigest()
                outcome.size += package.size
                problem = "" if digest == package.sha256 else "altered"
    except vault.Missing:
        problem = "" if removed else "missing"
    outcome.removed += removed
    if problem:
        outcome.findings.append(Finding(problem, str(package.pk), package.sha256))


def _shared(package: Package) -> bool:
    """Whether another package with the same bytes still needs them."""
    gone = Event.objects.filter(name="ContentRemoval").values("stream")
    return Package.objects.filter(sha256=package.sha256).exclude(pk__in=gone).exists()
