"""`manage.py make_keys`: the hub's own keys, before the first start of a production hub."""

from typing import Any

from django.conf import settings

from exchange import keys
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Make the keys that are missing."""

    help = "Make the hub's own keys that are not there yet (HUB_KEYS_DIR); keys that are there stay."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Make and say where."""
        keys.make_missing()
        self.stdout.write(str(settings.ENVIRONMENT.keys))
