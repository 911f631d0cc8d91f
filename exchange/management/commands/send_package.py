"""`manage.py send_package`: hand a file to a hub over HTTP, as a system would."""

import os
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange.management import client, console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Send a package."""

    help = "POST the package FILE to a hub and print its answer; exit code 1 when it is refused."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE and the credentials of the sending system."""
        parser.add_argument("file", metavar="FILE", type=console.file_bytes)
        parser.add_argument("--base-url", required=True, help="such as https://truc.example.vn")
        parser.add_argument("--client-id", required=True)
        parser.add_argument(
            "--client-secret", help="better in the environment, as SEND_SECRET: other accounts see arguments"
        )
        parser.add_argument("--validate", action="store_true", help="only ask whether it would be accepted")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask for a token, send, print."""
        secret = options["client_secret"] or os.environ.get("SEND_SECRET", "")
        try:
            hub = client.Client(options["base_url"], options["client_id"], secret)
            answer = hub.send(options["file"], validate=options["validate"])
        except client.Failed as failed:
            raise CommandError(str(failed)) from failed
        self.stdout.write(answer)
