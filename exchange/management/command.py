"""What every command of the hub has in common."""

from django.core.management.base import BaseCommand

from exchange.checks import HUB


class HubCommand(BaseCommand):
    """Looks at the hub's settings before it begins; Django's other checks would load every page first."""

    requires_system_checks: tuple[str, ...] = (HUB,)
