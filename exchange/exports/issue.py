"""Issue the proof of one document, as a page or as a bundle, with the event that says so."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal

from django.db import transaction

from exchange import log
from exchange.exports import bundle, make, proof
from exchange.exports.readers import Reader
from exchange.models import Package
from exchange.models.ids import uuid7

Form = Literal["pdf", "asice"]


def issue(form: Form, package: Package, reader: Reader, now: datetime) -> BinaryIO:
    """The file, open; it is gone when it is closed. Raises Refused export.not-sealed.

    A bundle holds the original: the caller has asked whether the reader may have it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / form
        if form == "asice":
            rows = bundle.write(path, package, reader, now)
        else:
            made = proof.of(package, reader, now)
            rows = len(made.deliveries)
            proof.write(path, made)
        with transaction.atomic():
            # A stream of its own, without the field `package`: parties do not learn what others print.
            log.note(
                uuid7(),
                "ExportIssued",
                actor=reader.actor,
                at=now,
                what=f"proof.{form}",
                target=str(package.pk),
                rows=rows,
                digest=make.digest_of(path),
            )
        return path.open("rb")


def file_name(form: Form, package: Package) -> str:
    """The name under which it is downloaded."""
    return f"{'bang-chung' if form == 'asice' else 'xac-nhan'}-{package.pk}.{form}"
