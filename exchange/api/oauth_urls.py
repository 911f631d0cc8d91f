"""The one address under /oauth/."""

from django.urls import path

from exchange.api.oauth import CredentialTokenView

urlpatterns = [path("token", CredentialTokenView.as_view(), name="oauth-token")]
