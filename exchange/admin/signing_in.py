"""Signing in: after a few wrong passwords from one place, a wait, whether the next one is right or not.

Counted in the database (`exchange.door`), so that all web processes count together; a session ends with the
browser, at the latest after a working day (`SESSION_COOKIE_AGE`).
"""

from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from unfold.forms import AuthenticationForm

from exchange import door

_LONGEST_NAME = 100


class SignInForm(AuthenticationForm):
    """unfold's, but guessing is slow."""

    def clean(self) -> dict[str, Any]:
        """Refuse while too many wrong passwords came; count one more when this one is wrong."""
        name = str(self.cleaned_data.get("username", "")).casefold()[:_LONGEST_NAME]
        address = str(self.request.META.get("REMOTE_ADDR", "")) if self.request else ""
        now = datetime.now(UTC)
        try:
            door.check_not_locked(f"person:{name}", address, now)
        except door.TooMany as error:
            minutes = error.credit.seconds // 60 + 1
            raise ValidationError(
                _("Sai mật khẩu quá nhiều lần. Hãy thử lại sau %(minutes)s phút."),
                code="locked",
                params={"minutes": minutes},
            ) from error
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            door.count_wrong_secret(f"person:{name}", address, now)
            raise
        return cleaned
