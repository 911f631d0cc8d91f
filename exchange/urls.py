"""Every address of the hub."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

import exchange.admin  # noqa: F401 - here, so that only a process that serves the pages has them in its memory
from exchange import public
from exchange.api import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    # Browsers ask for it on pages that cannot name an icon: text, XML, JSON.
    path("favicon.ico", RedirectView.as_view(url=static("hub/icon.svg"))),
    path("api/v1/", include("exchange.api.urls")),
    path("oauth/", include("exchange.api.oauth_urls")),
    path("healthz", health.live, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("kiem-tra", public.check, name="check"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("exchange.vxp.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "exchange.api.problems.bad_request"
handler403 = "exchange.api.problems.permission_denied"
handler404 = "exchange.api.problems.not_found"
handler500 = "exchange.api.problems.server_error"
