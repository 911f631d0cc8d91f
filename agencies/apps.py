"""The registry of agencies and systems as a Django app."""

from django.apps import AppConfig


class AgenciesConfig(AppConfig):
    """Agencies, their codes, systems, credentials and certificates; knows nothing of the hub."""

    name = "agencies"
    verbose_name = "Cơ quan và hệ thống kết nối"
    default_auto_field = "django.db.models.BigAutoField"
