"""The hub as a Django application."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExchangeConfig(AppConfig):
    """Registers checks and admin pages when Django starts."""

    name = "exchange"
    verbose_name = _("Liên thông văn bản")

    def ready(self) -> None:
        """Load what registers itself by being imported."""
        from exchange import checks, logs, siem  # noqa: F401, PLC0415

        logs.configure()
        siem.listen()
