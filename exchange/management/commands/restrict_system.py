"""`manage.py restrict_system`: from where a system may call, with which certificate, and how often."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agencies.certificates import fingerprint, load
from agencies.directory import System
from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Restrict a system, or show its restrictions."""

    help = "Restrict where the system NAME may call from and how often; without options show what holds."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME and what changes; an empty value lifts a restriction."""
        parser.add_argument("name", help="name of the system")
        parser.add_argument(
            "--networks", help="CIDRs it may call from, separated by commas; '': from anywhere"
        )
        parser.add_argument(
            "--client-certificate",
            metavar="FILE",
            help="the TLS certificate it must show (PEM or DER); '': none",
        )
        parser.add_argument(
            "--requests-per-minute", help="its own limit; 0: none; '': that of HUB_REQUESTS_PER_MINUTE"
        )
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change what was given and print what holds now."""
        system = System.objects.filter(name=options["name"]).first()
        if system is None:
            raise CommandError(f"Không có hệ thống «{options['name']}». / There is no such system.")
        with console.refusals_shown():
            registry.update_system(system, by=console.change(), **_facts(options))
        system.refresh_from_db()
        shown = {
            "networks": system.networks,
            "client_certificate": system.client_certificate,
            "requests_per_minute": system.requests_per_minute,
        }
        self.stdout.write(console.text(shown, as_json=options["json"]))


def _facts(options: dict[str, Any]) -> registry.SystemFacts:
    facts = registry.SystemFacts()
    if options["networks"] is not None:
        facts["networks"] = options["networks"]
    if options["client_certificate"] is not None:
        facts["client_certificate"] = _fingerprint(options["client_certificate"])
    if options["requests_per_minute"] is not None:
        facts["requests_per_minute"] = _count(options["requests_per_minute"])
    return facts


def _fingerprint(path: str) -> str:
    if not path:
        return ""
    try:
        [certificate] = load(console.file_bytes(path))
    except ValueError as error:
        raise CommandError(f"Không đọc được chứng thư / not one certificate: {error}") from error
    return fingerprint(certificate)


def _count(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise CommandError(f"Không phải số / not a number: {text}")
    return int(text)
