"""`manage.py migrate`: Django's, which never waits long for a lock while others work."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

LOCK_TIMEOUT = "5s"


class Command(migrate.Command):
    """A statement that waits for a lock makes everybody behind it wait: rather fail, and be run again."""

    def handle(self, *args: Any, **options: Any) -> None:
        """As Django; on PostgreSQL a lock that is not given in five seconds ends the migration."""
        connection = connections[options["database"]]
        if connection.vendor != "postgresql":
            super().handle(*args, **options)
            return
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        try:
            super().handle(*args, **options)
        finally:
            if connection.is_usable():
                with connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")
