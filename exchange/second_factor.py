"""The second factor that a person may switch on: a code of an app (TOTP, RFC 6238), or a saved one.

The key is made when the page is asked for and kept nowhere until a code proves that the app has it.
"""

from base64 import b32encode

from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice, default_key
from reportlab.graphics import renderSVG
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing

from exchange import siem

WRONG_CODE = _("Mã xác nhận không đúng, đã dùng rồi hoặc thử quá nhanh. Hãy chờ ứng dụng hiện mã kế tiếp.")
SAVED_CODES = 8
_MINUTES_TO_CONFIRM = 15
_SALT = "hub.second-factor"


def is_on(user: User) -> bool:
    """Whether signing in asks `user` for a code."""
    return TOTPDevice.objects.filter(user_id=user.pk, confirmed=True).exists()


def check(user: User, code: str) -> bool:
    """Whether `code` is the app's present one or a saved one; each is good once, wrong ones slow down."""
    code = "".join(code.split()).lower()
    # Locked, so that one code cannot be used twice at the same time.
    with transaction.atomic():
        devices = TOTPDevice if code.isdecimal() else StaticDevice
        device = devices.objects.select_for_update().filter(user_id=user.pk, confirmed=True).first()
        return device is not None and bool(device.verify_token(code))


def offer(user: User) -> str:
    """A new key for `user`, signed, so that it can lie in the form until it is confirmed."""
    return signing.dumps([user.pk, default_key()], salt=_SALT)


def offered(user: User, offer: str) -> TOTPDevice | None:
    """The device, not stored, of an `offer`; None when that is old, changed or somebody else's."""
    try:
        owner, key = signing.loads(offer, salt=_SALT, max_age=_MINUTES_TO_CONFIRM * 60)
    except signing.BadSignature:
        return None
    return TOTPDevice(user=user, name="app", key=key) if owner == user.pk else None


def secret(device: TOTPDevice) -> str:
    """The key of `device` as apps take it by hand."""
    text = b32encode(device.bin_key).decode()
    return " ".join(text[place : place + 4] for place in range(0, len(text), 4))


def picture(device: TOTPDevice) -> str:
    """The QR code of `device` as SVG."""
    code = QrCodeWidget(device.config_url, barLevel="M", barBorder=4)
    left, bottom, right, top = code.getBounds()
    side = 200
    drawing = Drawing(side, side, transform=[side / (right - left), 0, 0, side / (top - bottom), 0, 0])
    drawing.add(code)
    svg: str = renderSVG.drawToString(drawing)
    return svg[svg.index("<svg") :]


def switch_on(device: TOTPDevice, code: str) -> list[str]:
    """Store `device` when `code` is its present one; the saved codes to show once, else none."""
    user = device.user
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if is_on(user) or not code.isdecimal():
            return []
        device.save()
        if not device.verify_token(code):
            device.delete()
            return []
        saved = StaticDevice.objects.create(user=user, name="saved")
        codes = [StaticToken.random_token() for _number in range(SAVED_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=saved, token=code) for code in codes)
    siem.say("person.second-factor", person=user.get_username(), on=True, by=user.get_username())
    return codes


def switch_off(user: User, by: str) -> bool:
    """Forget every device of `user`; False when there was none."""
    with transaction.atomic():
        gone, _each = TOTPDevice.objects.filter(user_id=user.pk).delete()
        StaticDevice.objects.filter(user_id=user.pk).delete()
    if gone:
        siem.say("person.second-factor", person=user.get_username(), on=False, by=by)
    return bool(gone)
