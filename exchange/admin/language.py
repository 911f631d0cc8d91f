"""The language of the pages: what the person chose, else the hub's own; never what the browser says."""

from django.conf import settings
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.urls import reverse
from django.utils import translation


class LanguageMiddleware(LocaleMiddleware):
    """Django's, but for pages `Accept-Language` does not count; for the API it does."""

    def process_request(self, request: HttpRequest) -> None:
        """Set the language of this request."""
        super().process_request(request)
        if request.path_info.startswith(reverse("admin:index")):
            translation.activate(_chosen(request))
            request.LANGUAGE_CODE = translation.get_language()


def _chosen(request: HttpRequest) -> str:
    wanted = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
    return wanted if wanted in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
