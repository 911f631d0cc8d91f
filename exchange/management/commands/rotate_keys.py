"""`manage.py rotate_keys seal|log`: a new key for receipts or for the log, and the event that says so."""

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import keys, rotation
from exchange.management.command import HubCommand
from exchange.management.console import change, file_bytes


class Command(HubCommand):
    """Put a new key in force; the old files stay."""

    help = (
        "Put a new seal or log key in force some seconds from now, without a restart. Receipts given before "
        "stay as they are; a new log key opens a new log. Keep the old key files until `seal_log` has run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """seal|log, --pem, --after, --reason, --json."""
        parser.add_argument("which", choices=("seal", "log"))
        parser.add_argument(
            "--pem",
            type=file_bytes,
            default=b"",
            help="seal: its key, or the pkcs11: address of it on a line, and certificates; else self-signed",
        )
        parser.add_argument(
            "--after", type=int, default=5, metavar="SECONDS", help="when it comes into force"
        )
        parser.add_argument("--reason", default="", metavar="TEXT")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError when the key given cannot be used."""
        who = change()
        if options["pem"] and options["which"] == "log":
            raise CommandError("--pem: chỉ dùng cho con dấu. / --pem is for the seal only.")
        since = (who.at + timedelta(seconds=max(options["after"], 1))).replace(microsecond=0)
        try:
            name, digest = rotation.rotate(
                options["which"],
                since=since,
                pem=options["pem"],
                actor=who.actor,
                at=who.at,
                why=options["reason"],
            )
        except (keys.KeyUnusable, keys.ModuleFailed) as error:
            raise CommandError(f"Không dùng được khóa: {error} / The key cannot be used: {error}") from error
        facts = {"file": name, "since": since.isoformat(), "sha256": digest}
        lines = [f"{key}: {value}" for key, value in facts.items()]
        self.stdout.write(json.dumps(facts) if options["json"] else "\n".join(lines))
