"""`manage.py backup DIR`: a consistent backup of a running hub."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import facts
from exchange.management import backup, console
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Write one more backup."""

    help = (
        "Write a backup of database, vault (what is new in it), settings and the list of keys into a new "
        "directory under DIR, without stopping the hub. The keys themselves are not in it: keep HUB_KEYS_DIR "
        "and HUB_SECRET_KEY in a safe of their own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """DIR, --encrypt-to, --full, --json."""
        parser.add_argument("directory", type=Path, metavar="DIR")
        parser.add_argument("--encrypt-to", type=Path, metavar="FILE", help="an OpenPGP public key")
        parser.add_argument("--full", action="store_true", help="the whole vault, not only what is new")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError when it could not be done; the half-made directory has a dot before its name."""
        now = datetime.now(UTC)
        try:
            made = backup.make(
                options["directory"], recipient=options["encrypt_to"], full=options["full"], now=now
            )
        except (backup.BackupError, OSError) as error:
            raise CommandError(f"Không sao lưu được: {error} / Nothing was backed up: {error}") from error
        facts.say("backup", now, place=str(options["directory"]), stamp=made.stamp, sizes=made.sizes)
        shown = asdict(made) if options["json"] else _short(made)
        self.stdout.write(console.text(shown, as_json=options["json"]))


def _short(made: backup.Manifest) -> dict[str, object]:
    return {
        "stamp": made.stamp,
        "previous": made.previous or "– (full)",
        **{name: f"{size} bytes" for name, size in made.sizes.items()},
        "vault files": f"– copy the bucket {made.bucket} now" if made.bucket else made.vault_files,
        "seconds": made.seconds,
    }
