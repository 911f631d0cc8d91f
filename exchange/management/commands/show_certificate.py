"""`manage.py show_certificate`: the TLS client certificate that the hub shows to a system which it calls."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agencies.directory import System
from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Set or remove the hub's client certificate for one system."""

    help = "Show this TLS client certificate when packages and notices are pushed to the system NAME."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME, --key and --certificate, or --none."""
        parser.add_argument("name", help="name of the system")
        parser.add_argument(
            "--key", type=console.file_bytes, help="PEM file with the key, without a password"
        )
        parser.add_argument(
            "--certificate", type=console.file_bytes, help="PEM file with the certificate and those above it"
        )
        parser.add_argument("--none", action="store_true", help="show none any more")

    def handle(self, *args: Any, **options: Any) -> None:
        """Set it; CommandError when key and certificate do not belong together."""
        system = System.objects.filter(name=options["name"]).first()
        if system is None:
            raise CommandError(f"Không có hệ thống «{options['name']}». / There is no such system.")
        key, certificate = options["key"], options["certificate"]
        if options["none"] == bool(key and certificate):
            raise CommandError(
                "Cần --key và --certificate, hoặc --none. / Give --key and --certificate, or --none."
            )
        identity = b"" if options["none"] else key.strip() + b"\n" + certificate
        with console.refusals_shown():
            registry.show_when_pushing(system, identity, by=console.change())
        self.stdout.write(f"{system.name}: đã đổi / changed")
