"""The pages of clerks, auditors, operators and registrars: look, and ask a stage to act; never edit.

Every row is fetched through `scope.visible`. Imported by Django's admin autodiscovery.
"""

from typing import NoReturn

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from agencies.models import Credential
from exchange.admin import (
    account,
    deliveries,
    events,
    exports,
    health,
    packages,
    people,
    quick,
    redactions,
    registry,
)
from exchange.admin.signing_in import SignInForm

__all__ = ["deliveries", "events", "exports", "packages", "people", "redactions", "registry"]


def _nothing(request: HttpRequest, **kwargs: str) -> NoReturn:
    raise Http404


def _first() -> list[URLPattern]:
    """Django's “view on site” and unfold's search fetch rows of any table, outside the scope."""
    view = admin.site.admin_view
    return [
        path("r/<path:content_type_id>/<path:object_id>/", view(_nothing)),
        path("search/", view(_nothing)),
        path("quick/", view(quick.hits), name="hub_quick"),
        path("second-factor/", view(account.show), name="hub_second_factor"),
        path("health/", view(health.show), name="hub_health"),
    ]


admin.autodiscover()  # the pages of the libraries first, whoever imports this one: some are not wanted
# The pages that come with the OAuth library show tokens and let one edit credentials.
_oauth: list[type[Model]] = [Credential, *apps.get_app_config("oauth2_provider").get_models()]
# Those of the second factor show its keys.
_second: list[type[Model]] = [
    model for app in ("otp_totp", "otp_static") for model in apps.get_app_config(app).get_models()
]
for _model in [*_oauth, *_second]:
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
admin.site.login_form = SignInForm
admin.site.index_title = _("Tổng quan")
vars(admin.site)["extra_urls"] = _first  # unfold's hook for addresses that come first
