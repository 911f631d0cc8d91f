"""`manage.py enrol_agency`: one agency, or many from a CSV file."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import registry
from exchange.management import console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Register agencies."""

    help = (
        "Register an agency: enrol_agency CODE NAME. Or many: enrol_agency --csv FILE with the columns "
        "code,name and any of name_en,parent,aliases,email; all lines or, with any error, none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """CODE NAME, or --csv FILE."""
        parser.add_argument("code", nargs="?", help="the agency's code (mã định danh)")
        parser.add_argument("name", nargs="?", help="its name")
        parser.add_argument("--alias", action="append", default=[], help="another code of it; repeatable")
        parser.add_argument("--parent", metavar="CODE", help="the agency above it")
        parser.add_argument("--email", default="", help="its mail address")
        parser.add_argument("--csv", type=Path, metavar="FILE", help="register every agency of this file")
        parser.add_argument("--json", action="store_true", help="answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register and say what was done."""
        if bool(options["csv"]) == bool(options["name"]):
            raise CommandError("Cần CODE NAME hoặc --csv FILE. / Give either CODE NAME or --csv FILE.")
        facts = _import(options["csv"]) if options["csv"] else _register(options)
        self.stdout.write(console.text(facts, as_json=options["json"]))


def _register(options: dict[str, Any]) -> dict[str, object]:
    parent = console.agency(options["parent"]) if options["parent"] else None
    aliases = [(code, None, None) for code in options["alias"]]
    with console.refusals_shown():
        agency = registry.register_agency(
            options["code"],
            options["name"],
            aliases=aliases,
            by=console.change(),
            parent=parent,
            email=options["email"],
        )
    return {"id": str(agency.id), "code": agency.code, "name": agency.name}


def _import(path: Path) -> dict[str, object]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            report = registry.import_agencies(lines, by=console.change())
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}") from error
    if report.errors:
        raise CommandError("\n".join(f"{path}:{line}: {message}" for line, message in report.errors))
    return {"created": report.created, "updated": report.updated, "unchanged": report.unchanged}
