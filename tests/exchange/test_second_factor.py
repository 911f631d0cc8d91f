"""Who switched the second factor on signs in with a code; nothing but the right one, once, opens the door."""

import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from exchange import second_factor, siem

pytestmark = pytest.mark.once

PASSWORD = "mot-mat-khau-dai-2026"
PAGE = "/admin/second-factor/"


@pytest.fixture
def user(db: None) -> User:
    """A person without a second factor."""
    return User.objects.create_user("van.thu", password=PASSWORD, is_staff=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The clock of the codes; `clock(seconds)` moves it."""
    now = [1_795_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def move(seconds: int) -> None:
        now[0] += seconds

    return move


def code_of(key: str) -> str:
    """The code that the app shows now."""
    totp = TOTP(bytes.fromhex(key))
    totp.time = time.time()
    return f"{totp.token():06}"


def device_of(user: User) -> TOTPDevice:
    """The stored device."""
    found: TOTPDevice = TOTPDevice.objects.get(user=user)
    return found


def switch_on(user: User) -> list[str]:
    """Switch it on with code and stored key, past the code that confirmed it."""
    device = second_factor.offered(user, second_factor.offer(user))
    assert device is not None
    return second_factor.switch_on(device, code_of(device.key))


def sign_in(code: str = "", password: str = PASSWORD) -> str:
    """What the door says; empty when it opened."""
    client = Client()
    response = client.post(
        "/admin/login/", {"username": "van.thu", "password": password, "code": code, "next": "/admin/"}
    )
    if "_auth_user_id" in client.session:
        return ""
    return str(response.context["form"].non_field_errors().as_data()[0].code)


def test_a_person_switches_it_on_with_the_key_of_the_page_and_gets_saved_codes_once(user: User) -> None:
    client = Client()
    client.force_login(user)
    page = client.get(PAGE)
    assert "<svg" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert not TOTPDevice.objects.exists()
    offer = page.context["offer"]
    device = second_factor.offered(user, offer)
    assert device is not None
    assert client.post(PAGE, {"offer": offer, "code": "abc"}).status_code == 422
    assert not second_factor.is_on(user)
    done = client.post(PAGE, {"offer": offer, "code": code_of(device.key)})
    assert len(re.findall(r'class="hub-hash">[a-z2-7]{8}<', done.content.decode())) == 8
    assert device_of(user).key == device.key
    assert device_of(user).key not in client.get(PAGE).content.decode()


def test_an_offer_is_of_use_to_its_person_only_and_for_a_while(user: User, clock: Any) -> None:
    offer = second_factor.offer(user)
    other = User.objects.create_user("nguoi.khac")
    assert second_factor.offered(other, offer) is None
    assert second_factor.offered(user, offer + "x") is None
    assert second_factor.offered(user, offer) is not None
    clock(16 * 60)
    assert second_factor.offered(user, offer) is None


def test_signing_in_asks_for_the_code_where_it_is_on_and_takes_each_once(user: User, clock: Any) -> None:
    assert sign_in() == ""
    switch_on(user)
    assert sign_in() == "code-needed"
    clock(60)
    code = code_of(device_of(user).key)
    assert sign_in(code, password="sai") == "invalid_login"
    assert sign_in(code) == ""
    assert sign_in(code) == "code-wrong"


def test_a_saved_code_opens_the_door_once(user: User, clock: Any) -> None:
    first, *rest = switch_on(user)
    assert sign_in(first.upper()) == ""
    assert sign_in(first) == "code-wrong"
    assert StaticDevice.objects.get(user=user).token_set.count() == len(rest)


def test_wrong_codes_lock_the_door_like_wrong_passwords(user: User, clock: Any) -> None:
    switch_on(user)
    assert {sign_in("000000") for _number in range(10)} == {"code-wrong"}
    assert sign_in("000000") == "locked"


def test_wrong_codes_on_the_page_lock_it_too(user: User, clock: Any) -> None:
    switch_on(user)
    client = Client()
    client.force_login(user)
    for _number in range(10):
        client.post(PAGE, {"code": "000000"})
    clock(120)
    answer = client.post(PAGE, {"code": code_of(device_of(user).key)})
    assert answer.status_code == 422
    assert second_factor.is_on(user)


def test_it_is_switched_off_with_a_code(user: User, clock: Any) -> None:
    switch_on(user)
    client = Client()
    client.force_login(user)
    clock(60)
    assert client.post(PAGE, {"code": code_of(device_of(user).key)}).status_code == 302
    assert sign_in() == ""
    assert not StaticDevice.objects.exists()


def test_an_operator_resets_it_and_the_security_stream_says_so(
    user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    switch_on(user)
    said: list[tuple[str, Any]] = []
    monkeypatch.setattr(siem, "say", lambda name, **facts: said.append((name, facts)))
    call_command("reset_second_factor", "van.thu")
    assert [(name, facts["person"], facts["on"]) for name, facts in said] == [
        ("person.second-factor", "van.thu", False)
    ]
    assert sign_in() == ""
    for name in ("van.thu", "khong.co"):
        with pytest.raises(CommandError):
            call_command("reset_second_factor", name)
