"""`manage.py rotate_webhook_secret`: a new key for the pushes to a system, beside the present one."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agencies.directory import System
from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Rotate the secret that signs pushes, or with --vxp the one of the account on the VXP face."""

    help = (
        "Print a new secret of the system NAME, which can never be read again. The present one stays good "
        "beside it until the next rotation; with --now it ends at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME, --vxp, --now, --json."""
        parser.add_argument("name", help="name of the system")
        parser.add_argument("--vxp", action="store_true", help="the secret of its account on the VXP face")
        parser.add_argument("--now", action="store_true", help="end the present secrets at once")
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the secret once. CommandError when the system has no use for one."""
        system = System.objects.filter(name=options["name"]).first()
        if system is None:
            raise CommandError(f"Không có hệ thống «{options['name']}». / There is no such system.")
        kind = "vxp" if options["vxp"] else "webhook"
        change = registry.SECRETS[kind, options["now"]]
        if not registry.has_secret(system, kind):
            raise CommandError("Hệ thống này không dùng khóa đó. / This system has no such secret.")
        secret = change(system, by=console.change())
        self.stdout.write(console.text({f"{kind}_secret": secret}, as_json=options["json"]))
