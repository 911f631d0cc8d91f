"""`manage.py add_holidays`: days off, and worked weekends, for the working-day calendar."""

import json
from argparse import ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import clocks
from exchange.management import console
from exchange.management.command import HubCommand


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text}: YYYY-MM-DD") from error


class Command(HubCommand):
    """Enter or remove days."""

    help = (
        "Enter the days DAY in the working-day calendar as days off (--working: as weekend days that are "
        "worked), or take them out (--remove). Deadlines already given do not change."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """DAY… --name NAME [--working] | DAY… --remove."""
        parser.add_argument("days", metavar="DAY", nargs="+", type=_day, help="YYYY-MM-DD")
        parser.add_argument("--name", default="", help="what the days are called: Tết Nguyên đán")
        parser.add_argument("--working", action="store_true", help="weekend days that are worked")
        parser.add_argument("--remove", action="store_true", help="take the days out of the calendar")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the calendar and say which days changed."""
        by = console.change()
        if options["remove"]:
            changed = clocks.remove_days(options["days"], actor=by.actor, now=by.at)
        elif not options["name"]:
            raise CommandError("Thiếu --name. / --name is missing.")
        else:
            changed = clocks.set_days(
                options["days"], options["name"], working=options["working"], actor=by.actor, now=by.at
            )
        shown = [day.isoformat() for day in changed]
        if options["json"]:
            self.stdout.write(json.dumps({"changed": shown}))
        else:
            self.stdout.write("\n".join(shown) or "Không có gì thay đổi. / Nothing changed.")
