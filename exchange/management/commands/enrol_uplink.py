"""`manage.py enrol_uplink`: a hub above this one, or the national axis."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Register a hub above."""

    help = "Register a hub above, which receives for the agencies that are not connected here."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME, the three things that a client is told, and the codes that go there."""
        parser.add_argument("name", help="name of the hub above")
        parser.add_argument("--url", required=True, help="its endpoint")
        parser.add_argument("--systemid", required=True, help="our systemid there")
        parser.add_argument(
            "--secret-file", required=True, type=console.file_bytes, help="a file with our secret there"
        )
        parser.add_argument(
            "--prefix",
            action="append",
            default=[],
            help="codes that begin so go there; * for all others; repeatable",
        )
        parser.add_argument(
            "--ca", type=Path, help="PEM file of the authority that its TLS certificate is from"
        )
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register; nothing is called yet."""
        with console.refusals_shown():
            system = registry.register_uplink(
                options["name"],
                url=options["url"],
                systemid=options["systemid"],
                secret=options["secret_file"].decode().strip(),
                prefixes=options["prefix"] or ["*"],
                ca_pem=options["ca"].read_text(encoding="ascii") if options["ca"] else "",
                by=console.change(),
            )
        facts = {"id": str(system.id), "name": system.name, "prefixes": system.prefixes}
        self.stdout.write(console.text(facts, as_json=options["json"]))
