"""`manage.py resume_system`: deliver again to a system that was paused, or that failed again and again."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agencies.directory import System
from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand
from exchange.models import Circuit


class Command(HubCommand):
    """Resume a paused or broken system."""

    help = "End the pause of the system NAME and forget its failures; what waited for it is tried at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME."""
        parser.add_argument("name", help="name of the system")

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume, or say that there is nothing to resume."""
        system = System.objects.filter(name=options["name"]).first()
        if system is None:
            raise CommandError(f"Không có hệ thống «{options['name']}». / There is no such system.")
        if system.paused_at is None and not Circuit.objects.filter(pk=system.pk).exists():
            raise CommandError(
                "Hệ thống này không bị tạm dừng, cũng không gặp lỗi. / "
                "This system is neither paused nor failing."
            )
        registry.resume(system, by=console.change())
        self.stdout.write(f"{system.name}: đã giao trở lại / delivering again")
