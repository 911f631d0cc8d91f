"""What the two export commands share."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from exchange.exports import make
from exchange.exports.filters import Filter
from exchange.exports.make import Wanted
from exchange.exports.readers import Reader
from exchange.management import console
from exchange.models import ExportFormat
from exchange.models.ids import uuid7
from exchange.workdays import day_of


def add_arguments(parser: ArgumentParser, *, default: str, formats: Sequence[str]) -> None:
    """FILE, --filter, --format, --json."""
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--filter", default=default, metavar="FILTER")
    parser.add_argument("--format", choices=formats, help="by default what the name of FILE ends in")
    parser.add_argument("--json", action="store_true", help="print JSON")


def export(kind: str, options: Mapping[str, Any]) -> str:
    """Write the file of the command's `options`; what to print. Raises CommandError."""
    path: Path = options["file"]
    ending = {"zip": ExportFormat.JSONL}.get(path.suffix[1:], path.suffix[1:])
    by = console.change()
    over = {"agency": options["agency"]} if "agency" in options else {}
    with console.refusals_shown():
        wanted = Wanted(
            kind=kind,
            format=options["format"] or ending,
            chosen=Filter.of_query(options["filter"], day_of(by.at), **over),
            reader=Reader(actor=by.actor, agencies=None),
            insist=options.get("insist", False),
        )
        try:
            rows = make.write(path, wanted, lambda done, total: None, by.at)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}", returncode=2) from error
        digest = make.digest_of(path)
        with transaction.atomic():
            make.note(wanted, uuid7(), rows=rows, digest=digest, now=by.at)
    facts = {"file": str(path), "rows": rows, "sha256": digest, "filter": wanted.chosen.query}
    return console.text(facts, as_json=options["json"])
