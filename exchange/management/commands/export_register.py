"""`manage.py export_register`: a register of NĐ 30/2020, Phụ lục IV, for one agency and period."""

from typing import Any

from django.core.management.base import CommandParser

from exchange.management import exporting
from exchange.management.command import HubCommand
from exchange.models import ExportFormat, ExportKind

_KINDS = {"out": ExportKind.REGISTER_OUT, "in": ExportKind.REGISTER_IN}


class Command(HubCommand):
    """Write the file, and the event that says so."""

    help = (
        "Write the register of documents sent (out) or received (in) by the agency CODE to FILE. FILTER "
        "gives the period: period=this-month (the default), or since=2026-01-01&until=2026-03-31."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """out|in CODE FILE [--filter FILTER] [--format FORMAT] [--json]."""
        parser.add_argument("register", choices=_KINDS)
        parser.add_argument("agency", metavar="CODE")
        exporting.add_arguments(
            parser, default="period=this-month", formats=[ExportFormat.XLSX, ExportFormat.PDF]
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it and say how many rows and which digest it has."""
        self.stdout.write(exporting.export(_KINDS[options["register"]], options))
