"""`manage.py setup_hub`: the first steps of a new hub: tables, keys, the first accounts, and a look at it."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from exchange import keys, siem
from exchange.doctor import database, machine, trust
from exchange.management import console
from exchange.management.command import HubCommand

ROLES = ("registrar", "operator")


class Command(HubCommand):
    """Safe to run again: what is there stays as it is."""

    help = (
        "On a new machine: apply the migrations, make the hub's keys, and the first accounts: an "
        "administrator (who adds people), a registrar (agencies) and an operator. Their passwords are shown "
        "this once."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """--administrator, --registrar, --operator, --json."""
        for role, name in (("administrator", "admin"), *((role, role) for role in ROLES)):
            parser.add_argument(f"--{role}", default=name, metavar="NAME", help=f"by default {name}")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError names what is still wrong; the accounts exist then and their passwords were shown."""
        call_command("migrate", interactive=False, verbosity=0)
        keys.make_missing()
        made = {"administrator": _account(options["administrator"], superuser=True)}
        made |= {role: _account(options[role], role=role) for role in ROLES}
        shown = {"keys": str(settings.ENVIRONMENT.keys), **made}
        self.stdout.write(console.text(shown, as_json=options["json"]))
        looks = (machine.look(), database.look(), trust.look())
        grave = [f"{item.code}: {item.seen}" for look in looks for item in look if item.fault.grave]
        if grave:
            raise CommandError("Còn phải sửa: / Still to be done:\n" + "\n".join(grave))


def _account(name: str, *, role: str = "", superuser: bool = False) -> str:
    """The sign-in and a new password, or a word that the account was there."""
    if User.objects.filter(username=name).exists():
        return f"{name} (đã có / exists)"
    password = secrets.token_urlsafe(15)
    person = User.objects.create_user(name, password=password, is_staff=True, is_superuser=superuser)
    if role:
        person.groups.add(Group.objects.get(name=role))
    siem.say("person.changed", person=name, roles=[role] if role else [], by="setup_hub", superuser=superuser)
    return f"{name} {password}"
