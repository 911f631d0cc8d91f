"""`manage.py export_trail`: events or deliveries as a file, for an auditor on the machine of the hub."""

from typing import Any

from django.core.management.base import CommandParser

from exchange.management import exporting
from exchange.management.command import HubCommand
from exchange.models import ExportFormat, ExportKind


class Command(HubCommand):
    """Write the file, and the event that says so."""

    help = (
        "Write the trail (or, with --deliveries, the deliveries) that FILTER chooses to FILE. FILTER is that "
        "of the page of exports: period=last-month&agency=H29&trouble=failed; empty for everything. JSON "
        "Lines come as a zip with checkpoint and proofs, for `python -m exchange.evidence.verify`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE [--filter FILTER] [--format FORMAT] [--deliveries] [--insist] [--json]."""
        exporting.add_arguments(parser, default="", formats=ExportFormat.values)
        parser.add_argument("--deliveries", action="store_true", help="deliveries instead of events")
        parser.add_argument("--insist", action="store_true", help="XLSX also beyond 100,000 rows")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it and say how many rows and which digest it has."""
        kind = ExportKind.DELIVERIES if options["deliveries"] else ExportKind.TRAIL
        self.stdout.write(exporting.export(kind, options))
