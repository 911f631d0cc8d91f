"""Signing in: after a few wrong secrets from one place, a wait, whether the next one is right or not.

Counted in the database (`exchange.door`), so that all web processes count together; a session ends with the
browser, at the latest after a working day (`SESSION_COOKIE_AGE`). Who switched a second factor on
(`second_factor`) gives its code with the password: this form is the only door to a session.
"""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from exchange import door, second_factor

_LONGEST_NAME = 100


def check_tries(name: str, request: HttpRequest | None) -> None:
    """`name` may try a secret from where it asks. Raises ValidationError after too many wrong ones."""
    try:
        door.check_not_locked(_key(name), _place(request), datetime.now(UTC))
    except door.TooMany as error:
        raise ValidationError(
            _("Sai mật khẩu hoặc mã xác nhận quá nhiều lần. Hãy thử lại sau %(minutes)s phút."),
            code="locked",
            params={"minutes": error.credit.seconds // 60 + 1},
        ) from error


def count_wrong(name: str, request: HttpRequest | None) -> None:
    """Count one wrong password or code of `name`."""
    door.count_wrong_secret(_key(name), _place(request), datetime.now(UTC))


def _key(name: str) -> str:
    return f"person:{name.casefold()[:_LONGEST_NAME]}"


def _place(request: HttpRequest | None) -> str:
    return str(request.META.get("REMOTE_ADDR", "")) if request else ""


class SignInForm(AuthenticationForm):
    """unfold's, but guessing is slow, and the second factor is asked where it is on."""

    code = forms.CharField(
        label=gettext_lazy("Mã xác nhận (nếu đã bật xác thực hai bước)"),
        required=False,
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code"}),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse while too many wrong secrets came; count one more when one is wrong."""
        name = str(self.cleaned_data.get("username", ""))
        check_tries(name, self.request)
        try:
            cleaned: dict[str, Any] = super().clean()
            self._check_code()
        except ValidationError:
            count_wrong(name, self.request)
            raise
        return cleaned

    def _check_code(self) -> None:
        user = self.get_user()
        if user is None or not second_factor.is_on(user):
            return
        code = str(self.cleaned_data.get("code", ""))
        if not code:
            raise ValidationError(
                _("Tài khoản này bật xác thực hai bước: hãy nhập lại mật khẩu cùng mã xác nhận."),
                code="code-needed",
            )
        if not second_factor.check(user, code):
            raise ValidationError(second_factor.WRONG_CODE, code="code-wrong")
