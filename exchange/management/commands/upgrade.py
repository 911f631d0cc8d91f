"""`manage.py upgrade`: preflight, backup, migrate, restart, smoke test; stops at the first that fails."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from exchange.doctor import run
from exchange.management.command import HubCommand

_EXPECTED = ("migrations.missing", "web.silent", "worker.silent", "sealer.silent", "sealer.lags")
"""What may be so before an upgrade: the new code is there already, and the processes may be stopped."""


class Command(HubCommand):
    """Bring the database and the processes to the version of this code."""

    help = (
        "After new code and libraries are in place: look at the hub, back it up, migrate, restart it and "
        "wait until it answers with the new version. The old code goes on serving until the restart."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """--backup-to | --no-backup, --encrypt-to, --restart, --look."""
        how = parser.add_mutually_exclusive_group(required=True)
        how.add_argument("--backup-to", type=Path, metavar="DIR")
        how.add_argument("--no-backup", action="store_true", help="there is one already")
        how.add_argument("--look", action="store_true", help="only the preflight")
        parser.add_argument("--encrypt-to", metavar="FILE", help="an OpenPGP public key for the backup")
        parser.add_argument("--restart", metavar="COMMAND", help="for instance: systemctl restart hub.target")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError says which step failed; nothing after it was done."""
        self._preflight()
        if options["look"]:
            return
        if options["backup_to"]:
            key = ["--encrypt-to", options["encrypt_to"]] if options["encrypt_to"] else []
            call_command("backup", str(options["backup_to"]), *key, stdout=self.stdout)
        call_command("migrate", interactive=False, stdout=self.stdout)
        if options["restart"]:
            _restart(options["restart"])
            call_command("smoke_test", stdout=self.stdout)
        else:
            self.stdout.write("→ Khởi động lại trục, rồi smoke_test. / Restart the hub, then smoke_test.")

    def _preflight(self) -> None:
        found = [item for findings in run.examine().values() for item in findings if item.fault.grave]
        grave = [f"{item.code}: {item.seen}" for item in found if item.code not in _EXPECTED]
        if grave:
            raise CommandError("Chưa nâng cấp được: / Not upgraded:\n" + "\n".join(grave))
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
        self.stdout.write(f"migrations: {', '.join(names) or '–'}")


def _restart(command: str) -> None:
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"{command}: {done.stderr.strip()}")
