"""`manage.py restore DIR`: bring a backup back on an empty machine, and say what is missing."""

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from exchange import signer, vault
from exchange.evidence.tree import Broken
from exchange.management import backup, console
from exchange.management.command import HubCommand
from exchange.models import Event, Log, Package


class Command(HubCommand):
    """Restore into an empty database and an empty vault."""

    help = (
        "Restore the newest backup under DIR (or --stamp) into an empty database and vault, apply newer "
        "migrations, and compare with what the signer remembers. Put the keys back first. Then check_log "
        "and open_new_log --incident '…' before the hub starts."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """DIR, --stamp, --json."""
        parser.add_argument("directory", type=Path, metavar="DIR")
        parser.add_argument("--stamp", default="", help="another one than the newest")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError when something is not as it was backed up, or something is in the way."""
        try:
            manifest = backup.restore(options["directory"], stamp=options["stamp"])
        except (backup.BackupError, OSError) as error:
            raise CommandError(f"Không phục hồi được: {error} / Not restored: {error}") from error
        connection.close()
        call_command("migrate", interactive=False, verbosity=0)
        facts = {"stamp": manifest.stamp, **_found(), "keys_missing": _keys_missing(manifest), **_gap()}
        self.stdout.write(console.text(facts, as_json=options["json"]))


def _found() -> dict[str, object]:
    """What is there: rows, and packages without their bytes."""
    digests = Package.objects.order_by().values_list("sha256", flat=True).distinct()
    missing = sum(not vault.holds(digest) for digest in digests.iterator(chunk_size=2000))
    return {"packages": Package.objects.count(), "events": Event.objects.count(), "bytes_missing": missing}


def _keys_missing(manifest: backup.Manifest) -> list[str]:
    """Keys of the time of the backup that are not there, or are others."""
    present = backup.key_list()
    return [name for name, digest in manifest.keys.items() if present.get(name) != digest]


def _gap() -> dict[str, object]:
    """How far the signer had signed, and how far this database goes: between them lies what was lost."""
    current = Log.objects.current()
    restored = current.size if current else 0
    try:
        known = [item for item in signer.memory() if item.note]
        head = known[-1].head if known else None
    except (signer.SignerRefused, Broken) as error:
        return {"log_restored": restored, "log_signed": f"? {error}", "events_lost": "?"}
    if head is None:
        return {"log_restored": restored, "log_signed": "?", "events_lost": "?"}
    same = current is not None and head.origin == current.origin
    lost: object = max(0, head.size - restored) if same else "?"
    return {"log_restored": restored, "log_signed": head.size, "events_lost": lost}
