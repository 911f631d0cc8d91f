"""Large packages are examined in a process that can be killed, with the same answers."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from exchange import isolation
from exchange.envelope import package as envelope
from exchange.models import Package
from tests.api.conftest import Caller, code_of
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def everything_is_large(settings: Any) -> Iterator[None]:
    """Every package goes to an examiner; those of a test end with it."""
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, isolate_bytes=10)
    yield
    while isolation._examiners:
        isolation._examiners.pop().kill()


def limited(settings: Any, **limits: int) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, **limits)


def test_a_large_package_is_taken_like_any_other(sender: Caller, hub: World) -> None:
    raw = hub.document("H29", "H29.5", attachments=[envelope.attach("a.txt", os.urandom(100_000))])
    answer = sender.send(raw)
    assert (answer.status_code, answer.json()["signature"]["state"]) == (201, "valid")
    assert sender.send(raw).status_code == 200  # the same bytes: the registry ends the examination


def test_one_examiner_serves_one_package_after_the_other(sender: Caller, hub: World) -> None:
    sender.send(hub.document("H29", "H29.5"))
    [first] = isolation._examiners
    assert code_of(sender.send(b"<broken>" * 9)) == "package.not-xml"
    assert sender.send(hub.document("H29", "H29.5")).status_code == 201
    assert isolation._examiners == [first]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda raw: raw.replace(b"2026", b"2027", 1), "signature.digest-mismatch"),
        (lambda raw: raw.replace(b"<edXML:OrganId>H29<", b"<edXML:OrganId>H29.5<", 1), "sender.not-yours"),
        (lambda raw: raw.replace(b"<edXML:OrganId>H29<", b"<edXML:OrganId>X<", 1), "sender.not-registered"),
    ],
)
def test_refusals_come_back_as_they_are(sender: Caller, hub: World, spoil: Any, code: str) -> None:
    assert code_of(sender.send(spoil(hub.document("H29", "H29.5")))) == code


def test_a_revoked_certificate_is_found_by_the_registry_in_between(sender: Caller, hub: World) -> None:
    from tests.security.pki import revoke

    revoke(hub, "H29")
    assert code_of(sender.send(hub.document("H29", "H29.5"))) == "certificate.revoked"


def test_policy_report_records_what_the_registry_refuses(sender: Caller, hub: World) -> None:
    from tests.security.pki import revoke

    revoke(hub, "H29")
    hub.agencies["H29"].signature_policy = "report"
    hub.agencies["H29"].save()
    signature = sender.send(hub.document("H29", "H29.5")).json()["signature"]
    assert (signature["state"], signature["problem"]) == ("invalid", "certificate.revoked")


def test_what_takes_too_much_processor_time_is_stopped_and_the_next_one_taken(
    sender: Caller, hub: World, settings: Any
) -> None:
    limited(settings, examine_seconds=0)
    raw = hub.document("H29", "H29.5", attachments=[envelope.attach("a.bin", os.urandom(40_000_000))])
    assert code_of(sender.send(raw)) == "package.too-costly"
    assert not Package.objects.exists()
    limited(settings, examine_seconds=30)
    assert sender.send(hub.document("H29", "H29.5")).status_code == 201


_SHORT_OF_MEMORY = """
import resource
from exchange.envelope import xml
raw = b"<a>" + b"b" * 20_000_000 + b"</a>"
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 5_000_000,) * 2)
try:
    xml._parse(raw)
except MemoryError:
    print("no memory")
"""


def test_a_parser_without_memory_does_not_say_that_the_package_is_no_xml() -> None:
    words = (sys.executable, "-c", _SHORT_OF_MEMORY)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "no memory\n", done.stderr


def test_what_takes_too_much_memory_is_stopped(sender: Caller, hub: World, settings: Any) -> None:
    limited(settings, examine_megabytes=200)
    raw = hub.document("H29", "H29.5", attachments=[envelope.attach("a.bin", os.urandom(40_000_000))])
    assert code_of(sender.send(raw)) == "package.too-costly"


def test_an_examiner_that_dies_refuses_one_package_only(sender: Caller, hub: World) -> None:
    sender.send(hub.document("H29", "H29.5"))
    isolation._examiners[0]._process.kill()
    isolation._examiners[0]._process.wait()
    assert sender.send(hub.document("H29", "H29.5")).status_code == 201


def test_an_examiner_ends_when_its_parent_hangs_up() -> None:
    examiner = isolation.Examiner()
    examiner._connection.close()
    assert examiner._process.wait(20) == 0


def test_an_examiner_is_told_no_secret() -> None:
    examiner = isolation.Examiner()
    environ = Path(f"/proc/{examiner._process.pid}/environ").read_bytes()
    examiner.kill()
    assert settings.SECRET_KEY.encode() not in environ


def test_few_large_packages_are_in_work_at_once(sender: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_ROOM_SECONDS", 0)
    with isolation.room(10**6), isolation.room(None), isolation.room(5):
        answer = sender.send(b"x" * 11)
    assert (answer.status_code, code_of(answer)) == (503, "hub.busy")
    assert answer.headers["Retry-After"] == "0"
    assert code_of(sender.send(b"x" * 11)) == "package.not-xml"


class Touch:
    """As a pickle: a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_an_examiner_that_was_taken_over_makes_the_hub_call_nothing(
    sender: Caller, hub: World, tmp_path: Path
) -> None:
    own, imported = b"exchange.envelope.signing", b"etree.tostring"  # nor what our modules import
    through = b"\x80\x04" + b"".join(b"\x8c%c%b" % (len(name), name) for name in (own, imported)) + b"\x93."
    for said in (pickle.dumps(("done", Touch(tmp_path / "called"))), through):
        examiner = isolation.Examiner()
        examiner._connection.close()
        examiner._connection, theirs = multiprocessing.Pipe()
        isolation._examiners.append(examiner)  # behind one that another test may have left
        theirs.send_bytes(said)
        assert code_of(sender.send(hub.document("H29", "H29.5"))) == "package.too-costly"
        theirs.close()
    assert not (tmp_path / "called").exists()
