"""`manage.py resume_system`: deliver again to a system that was paused, as one that answered 410 is."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agencies.directory import System
from exchange import registry
from exchange.management import console


class Command(BaseCommand):
    """Resume a paused system."""

    help = "End the pause of the system NAME; what waited for it is tried at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME."""
        parser.add_argument("name", help="name of the system")

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume, or say that there is nothing to resume."""
        system = System.objects.filter(name=options["name"]).first()
        if system is None:
            raise CommandError(f"Không có hệ thống «{options['name']}». / There is no such system.")
        if system.paused_at is None:
            raise CommandError("Hệ thống này không bị tạm dừng. / This system is not paused.")
        registry.resume(system, by=console.change())
        self.stdout.write(f"{system.name}: đã giao trở lại / delivering again")
