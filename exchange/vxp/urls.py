"""Every call under every path that clients are configured with (`HUB_VXP_PATHS`)."""

import re

from django.conf import settings
from django.urls import re_path

from exchange.vxp import views

# An endpoint that is configured with a slash at its end gives two.
_paths = "|".join(re.escape(path.strip("/")) for path in settings.ENVIRONMENT.vxp_paths if path != "-")

urlpatterns = [re_path(rf"^(?:{_paths})/+(?P<name>\w{{1,40}})/?$", views.call)] if _paths else []
