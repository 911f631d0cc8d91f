"""`manage.py recount_statistics`: prove that the counters say what the events say."""

import json
from typing import Any

from django.core.management.base import CommandParser

from exchange import recount
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Count again."""

    help = (
        "Count every event again and compare with the statistics. Exit code 0: they agree; 1: they do not "
        "(each difference is listed; --fix puts the count in place). Reads the whole history; an embedded "
        "hub takes nothing in meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """[--fix] [--json]."""
        parser.add_argument("--fix", action="store_true", help="put the count in place of what is stored")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """List the differences; exit with 1 when any stay."""
        found = recount.recount(fix=options["fix"])
        if options["json"]:
            rows = [{**row.key._asdict(), "stored": row.stored, "counted": row.counted} for row in found]
            self.stdout.write(json.dumps({"differences": rows, "fixed": options["fix"]}, default=str))
        else:
            for row in found:
                words = " ".join(map(str, row.key))
                self.stdout.write(f"{words}: {row.stored} ≠ {row.counted}")
            self.stdout.write("Khớp. / They agree." if not found else f"{len(found)} khác / differences")
        if found and not options["fix"]:
            raise SystemExit(1)
