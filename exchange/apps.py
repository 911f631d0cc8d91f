"""The hub as a Django application, and Django's pages as it has them."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register
from django.utils.translation import gettext_lazy as _


class ExchangeConfig(AppConfig):
    """Registers checks and admin pages when Django starts."""

    name = "exchange"
    default = True
    verbose_name = _("Liên thông văn bản")

    def ready(self) -> None:
        """Load what registers itself by being imported."""
        from exchange import checks, logs, siem  # noqa: F401, PLC0415

        logs.configure()
        siem.listen()


class PagesConfig(SimpleAdminConfig):
    """Leaves the pages to `exchange.urls`: they are half of the memory of a process that serves none."""

    def ready(self) -> None:
        """Register Django's own checks of pages, which need them loaded."""
        register(check_dependencies, Tags.admin)
        register(_check_pages, Tags.admin)


def _check_pages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    import_module(settings.ROOT_URLCONF)
    return check_admin_app(app_configs, **kwargs)
