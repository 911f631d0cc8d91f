"""`manage.py pause_system`: push nothing to a system for now; the hub goes on taking for it."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agencies.directory import System
from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Pause a system."""

    help = "Push nothing to the system NAME until it is resumed; what is for it waits."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME."""
        parser.add_argument("name", help="name of the system")

    def handle(self, *args: Any, **options: Any) -> None:
        """Pause, or say that there is nothing to pause."""
        system = System.objects.filter(name=options["name"]).first()
        if system is None:
            raise CommandError(f"Không có hệ thống «{options['name']}». / There is no such system.")
        if system.paused_at is not None:
            raise CommandError("Hệ thống này đã tạm dừng. / This system is paused already.")
        registry.pause(system, by=console.change(), reason="operator.stated")
        self.stdout.write(f"{system.name}: đã tạm dừng giao / paused")
