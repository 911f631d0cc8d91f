"""Reports on the signatures inside PDF attachments: read where it can be killed, judged here, kept as JSON.

These signatures carry the legal value of a document, and are never a reason for intake to refuse: real
documents with one broken among three are in use. A recipient may refuse those (`Agency.refuses_broken_pdf`);
its deliveries wait for the report. Every report is an event with its SHA-256. Revocation counts
as far as it is stored; nothing is fetched.
"""

import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from agencies import authorities, certificates
from exchange import lifecycle, log, vault, wake
from exchange.models import Delivery, Package, PdfReport, PdfVerdict

LEASE = timedelta(minutes=10)
MOST_TRIES = 3
AT_ONCE = 20
FILE_SECONDS = 10
"""Processor time for one file."""
MEGABYTES = 768
"""Memory for the package and one file of it."""
PACKAGE_SECONDS = 60
"""Time for all PDF files of one package; what was not read by then is reported as too costly."""

_logger = structlog.get_logger(__name__)
_at_work = Lock()  # one package at a time in a process: a child may take 768 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, and what the certificate is worth; personal identifiers are masked.

    `kind`: organisation, person, unknown. `trust`: trusted, untrusted, expired, not-yet-valid, revoked.
    `revocation`: good, stale (the data is overdue), unknown (none is stored), none (its authority names no
    source); "" unless trusted.
    """

    name: str
    organisation: str
    kind: str
    fingerprint: str
    issuer: str
    not_before: str
    not_after: str
    trust: str
    revocation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A time stamp on a signature: `state` is intact, broken or unreadable."""

    state: str
    at: str | None = None
    signer: Signer | None = None

    @property
    def proves(self) -> bool:
        """Whether `at` is a time that somebody vouches for whom the hub trusts."""
        return self.state == "intact" and self.at is not None and _trusted(self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature. `type`: signature, or timestamp (on the whole document). `state`: intact, weak (SHA-1 or
    older), broken, unreadable. `covers`: file, revision, part. `later`: none, allowed (more signatures, form
    fields), changed, unknown. `claimed_at` is its signer's word."""

    state: str
    type: str = "signature"
    revision: int = 0
    covers: str = ""
    later: str = ""
    algorithm: str = ""
    claimed_at: str | None = None
    stamp: Stamp | None = None
    signer: Signer | None = None

    @property
    def verdict(self) -> PdfVerdict:
        """GOOD, BROKEN or DOUBTFUL."""
        if self.state == "broken":
            return PdfVerdict.BROKEN
        whole = self.covers in ("file", "revision") and self.later in ("none", "allowed")
        return (
            PdfVerdict.GOOD
            if self.state == "intact" and whole and _trusted(self.signer)
            else PdfVerdict.DOUBTFUL
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One PDF attachment by its number in the package. `state`: read, encrypted, unreadable, too-large,
    too-costly; what was found before a limit ended the work is kept."""

    number: int
    name: str
    sha256: str
    size: int
    state: str
    revisions: int
    signatures: tuple[Signature, ...]


def _trusted(signer: Signer | None) -> bool:
    return signer is not None and signer.trust == "trusted"


# --- the stage ----------------------------------------------------------------------------------------


def make_next(now: datetime) -> bool:
    """Make the report that waits longest; False when none waits, or this process already makes one.

    A report whose worker died is taken up again after LEASE, MOST_TRIES times at most.
    """
    if not _at_work.acquire(blocking=False):
        return False
    try:
        report = _claim(now)
        if report is not None:
            _make(report, now)
        return report is not None
    finally:
        _at_work.release()


def _claim(now: datetime) -> PdfReport | None:
    with transaction.atomic():
        due = PdfReport.objects.due(now).select_related("package")
        report = due.select_for_update(skip_locked=True, of=("self",)).first()
        if report is not None:
            report.tries, report.due_at = report.tries + 1, now + LEASE
            report.save(update_fields=["tries", "due_at"])
    return report


def _make(report: PdfReport, now: datetime) -> None:
    files: list[File] = []
    if report.tries <= MOST_TRIES:
        with vault.open_bytes(report.package.sha256) as stored:
            files = _judged(_found(stored.read()), now)
    else:
        _logger.error("pdf_report_given_up", package=str(report.package_id))
    verdict = _verdict(files)
    text = json.dumps(
        {"files": [asdict(file) for file in files]}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    _record(report, verdict, text, now)


def _verdict(files: Iterable[File]) -> PdfVerdict:
    """The worst; a package of which no file could be named is unreadable."""
    files = list(files)
    found = {one.verdict for file in files for one in file.signatures}
    if not all(file.state == "read" for file in files) or not files:
        found.add(PdfVerdict.UNREADABLE)
    order = (PdfVerdict.BROKEN, PdfVerdict.UNREADABLE, PdfVerdict.DOUBTFUL, PdfVerdict.GOOD)
    return next((verdict for verdict in order if verdict in found), PdfVerdict.UNSIGNED)


def _record(report: PdfReport, verdict: PdfVerdict, text: str, now: datetime) -> None:
    """Store the report with its event; nothing when the content was removed meanwhile, and its row."""
    with transaction.atomic():
        package = Package.objects.select_for_update().get(pk=report.package_id)
        waiting = PdfReport.objects.filter(pk=package.pk, checked_at=None)
        if waiting.update(verdict=verdict, text=text, checked_at=now) != 1:
            return
        facts = {"digest": sha256(text.encode()).hexdigest()}
        entry = log.Entry(row=package, event="SignatureReport", package=package, facts=facts)
        log.append([entry], at=now, actor=log.HUB)
        package.save(update_fields=["seq", "head"])
        _decide(package, verdict, now)


def _decide(package: Package, verdict: PdfVerdict, now: datetime) -> None:
    """Let go of the deliveries that waited for the report, or let them fail: their recipients refuse broken
    signatures, and nothing else that a report may say."""
    waiting = Delivery.objects.queued().filter(package=package, held=True)
    chosen = waiting.select_related("package", "system").order_by("id")
    rows = list(chosen.select_for_update(of=("self",)))
    if verdict != PdfVerdict.BROKEN:
        Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(held=False)
        wake.after_commit(row.lane for row in rows if row.push)
        wake.for_inboxes(row.system for row in rows)
        return
    for row in rows:
        lifecycle.move(row, "ContentHandoverFailure", now)
    changes = [
        lifecycle.Change(delivery=row, event="ContentHandoverFailure", reason="recipient.refuses-broken-pdf")
        for row in rows
    ]
    if changes:
        lifecycle.record(changes, at=now, actor=log.HUB)


# --- reading, elsewhere -------------------------------------------------------------------------------

_Finding = tuple[int, str, Any]


def _found(raw: bytes) -> list[_Finding]:
    """The findings of a child process (`exchange.pdfsignatures`), up to where a limit ended it."""
    try:
        done = subprocess.run(
            (sys.executable, "-m", "exchange.pdfsignatures", str(FILE_SECONDS), str(MEGABYTES)),
            input=raw,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            env={},  # no setting, and so no secret
            timeout=PACKAGE_SECONDS,
            check=False,
        )
        out, how = done.stdout, str(done.returncode)
    except subprocess.TimeoutExpired as late:
        out, how = late.stdout or b"", "late"
    if how != "0":
        _logger.warning("pdf_reader_stopped", how=how)
    whole = out[: out.rfind(b"\n") + 1]
    return [tuple(json.loads(line)) for line in whole.splitlines()]


# --- judging ------------------------------------------------------------------------------------------


def _judged(findings: Iterable[_Finding], now: datetime) -> list[File]:
    found: dict[int, dict[str, Any]] = {}
    for number, word, value in findings:
        if word == "file":
            found[number] = {
                **value,
                "number": number,
                "state": "too-costly",
                "revisions": 0,
                "signatures": (),
            }
        elif word == "signature":
            found[number]["signatures"] += (_signature(value, now),)
        else:
            found[number][word] = value
    return [File(**facts) for facts in found.values()]


def _signature(facts: dict[str, Any], now: datetime) -> Signature:
    if facts["state"] == "unreadable":
        return Signature(state="unreadable")
    told = dict(facts)
    chain, stamped_at, stamp = told.pop("chain"), told.pop("stamped_at", None), told.pop("stamp", None)
    if stamp is not None:
        stamp = _stamp(stamp, now)
    elif stamped_at is not None:
        stamp = Stamp(state=told["state"], at=stamped_at)
    at = datetime.fromisoformat(stamp.at) if stamp and stamp.proves else now
    try:
        return Signature(**told, stamp=stamp, signer=_signer(chain, at))
    except ValueError:  # what came as a certificate is none
        return Signature(state="unreadable")


def _stamp(facts: dict[str, Any], now: datetime) -> Stamp:
    if facts["state"] == "unreadable":
        return Stamp(state="unreadable")
    try:
        return Stamp(state=facts["state"], at=facts["stamped_at"], signer=_signer(facts["chain"], now))
    except ValueError:
        return Stamp(state="unreadable")


def _signer(chain: list[str], at: datetime) -> Signer:
    """Judge the certificate at `at`: the time of a trusted stamp, else now. Raises ValueError."""
    leaf, *brought = [b64decode(one) for one in chain]
    told = certificates.describe(leaf)
    trust, revocation = _trust(leaf, brought, at)
    return Signer(
        name=told.holder.name,
        organisation=told.holder.organisation,
        kind=told.holder.kind,
        fingerprint=told.fingerprint,
        issuer=told.issuer[:500],
        not_before=told.not_before.isoformat(),
        not_after=told.not_after.isoformat(),
        trust=trust,
        revocation=revocation,
    )


def _trust(leaf: bytes, brought: list[bytes], at: datetime) -> tuple[str, str]:
    try:
        evidence = authorities.check_certificate(
            leaf, now=at, trust_dir=settings.ENVIRONMENT.trust_dir, brought=brought
        )
    except authorities.CertificateProblem as problem:
        return problem.kind, ""
    if evidence.stale:
        return "trusted", "stale"
    if evidence.no_crl:
        return "trusted", "unknown" if evidence.unknown else "none"
    return "trusted", "good"
