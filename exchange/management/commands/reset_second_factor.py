"""`manage.py reset_second_factor`: for a person who lost the phone and the saved codes."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from exchange import second_factor
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Switch the second factor of an account off."""

    help = "Switch the second factor of the account USERNAME off; the security stream tells who did."

    def add_arguments(self, parser: CommandParser) -> None:
        """USERNAME."""
        parser.add_argument("username", help="name of the account")

    def handle(self, *args: Any, **options: Any) -> None:
        """Switch off, or say that there is nothing to switch off."""
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"Không có tài khoản «{options['username']}». / There is no such account.")
        if not second_factor.switch_off(user, by=console.change().actor.id):
            raise CommandError("Tài khoản này chưa bật xác thực hai bước. / It has no second factor.")
        self.stdout.write(f"{user.get_username()}: đã tắt xác thực hai bước / second factor switched off")
