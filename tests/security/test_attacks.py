"""Every row of the attack table through the front door, and what it may cost."""

import base64
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from exchange.envelope.signing import sign
from exchange.models import Delivery, Package
from tests.api.conftest import Caller, code_of
from tests.envelope.test_signature import replaced
from tests.security import attacks
from tests.security.attacks import ATTACKS, ELSEWHERE, PLACE, Attack, good
from tests.world import World

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
MEGABYTE = 1_100_000


def name_of(item: Attack) -> str:
    return f"{item.row}: {item.name}"


@pytest.mark.parametrize("item", ATTACKS, ids=name_of)
def test_an_attack_is_refused_under_its_code_and_changes_nothing(
    sender: Caller, hub: World, item: Attack
) -> None:
    answer = sender.send(item.make(hub))
    assert code_of(answer) == item.code, answer.content.decode()
    assert not Package.objects.exists()
    assert not Delivery.objects.exists()


def test_the_package_that_the_attacks_begin_with_is_good(sender: Caller, hub: World) -> None:
    assert sender.send(good(hub)).status_code == 201


DECLARED = " ".join(f'xmlns:n{number}="urn:{number}"' for number in range(1_900))
# What the gates let through, as expensive as they let it be, signed and all.
HEAVY = {
    "elements": "<x/>" * 49_000,
    "elements under many namespaces": f"<x {DECLARED}>" + "<x/>" * 45_000 + "</x>",
    "attributes": "".join(f'<x a="{number}" b="" c="" d=""/>' for number in range(2_200)),
    "deep": ("<x>" * 30 + "</x>" * 30) * 1_600,
    "text": "&amp;" * 180_000,
    "recipients": "</edXML:Subject>"
    + "<edXML:To><edXML:OrganId>Y</edXML:OrganId></edXML:To>" * 12_000
    + "<edXML:Subject>",
}


def heavy(hub: World, inside: str) -> bytes:
    raw = hub.document("H29", "H29.5", signed=False)
    return hub.sign("H29", replaced(raw, "<edXML:Subject>", f"<edXML:Subject>{inside}"))


def test_no_hostile_package_of_a_megabyte_costs_a_second_or_200_megabytes(hub: World) -> None:
    made = [(name_of(item), item.make(hub)) for item in ATTACKS]
    made += [(f"heavy: {name}", heavy(hub, inside)) for name, inside in HEAVY.items()]
    small = [(name, raw) for name, raw in made if len(raw) <= MEGABYTE]
    assert len(small) > 80
    jobs = [(raw, (hub.keys.identities["H29"].der,)) for _, raw in small]
    command = [sys.executable, "-m", "tests.security.cost"]
    done = subprocess.run(command, input=pickle.dumps(jobs), capture_output=True, check=True, cwd=ROOT)
    costs = dict(zip([name for name, _ in small], pickle.loads(done.stdout), strict=True))
    codes = {item.code for item in ATTACKS} | {"accepted", "package.field-invalid"}
    assert {name: code for name, (code, _, _) in costs.items() if code not in codes} == {}
    assert {name: (s, mb) for name, (_, s, mb) in costs.items() if s >= 1 or mb >= 200} == {}
    dearest, largest = max(costs, key=lambda n: costs[n][1]), max(costs, key=lambda n: costs[n][2])
    print(f"dearest: {dearest}, {costs[dearest]}; largest: {largest}, {costs[largest]}")


def test_the_page_shows_the_table() -> None:
    found = PLACE.search((ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert found
    assert found[2] == attacks.table(), "run write() below, see attacks.py"


@pytest.mark.parametrize("test", [test for _, _, test in ELSEWHERE])
def test_a_row_that_is_tested_elsewhere_has_its_test(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


# --- what is no refusal of a package ------------------------------------------------------------------


def test_a_replay_is_the_same_package(sender: Caller, hub: World) -> None:
    raw = good(hub)
    first, second = sender.send(raw), sender.send(raw)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["receipt"] == second.json()["receipt"]
    assert Package.objects.count() == 1


def test_the_other_value_of_an_ecdsa_signature_is_no_second_document(sender: Caller, hub: World) -> None:
    raw = good(hub)
    value = re.search(r"<ds:SignatureValue>([^<]*)", raw.decode())
    assert value
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    pair = base64.b64decode(value[1])
    twin = pair[:32] + (order - int.from_bytes(pair[32:], "big")).to_bytes(32, "big")
    assert sender.send(raw).status_code == 201
    answer = sender.send(replaced(raw, value[1], base64.b64encode(twin).decode()))
    assert code_of(answer) == "document.id-reused"


def test_a_signing_time_of_the_future_changes_nothing(sender: Caller, hub: World) -> None:
    identity = hub.keys.identities["H29"]
    later = datetime.now(UTC) + timedelta(days=36_500)
    raw = hub.document("H29", "H29.5", signed=False)
    answer = sender.send(sign(raw, key=identity.key, certificate_chain=identity.chain, xades=True, at=later))
    assert answer.status_code == 201
    assert answer.json()["accepted_at"] < later.isoformat()


@pytest.mark.parametrize("path", ["", "/content", "/trail", "/receipts"])
def test_what_is_not_yours_does_not_exist(sender: Caller, recipient: Caller, hub: World, path: str) -> None:
    package = sender.send(hub.document("H29", "H29.17")).json()["id"]
    answer = recipient.get(f"/packages/{package}{path}")
    assert (answer.status_code, code_of(answer)) == (404, "request.not-found")


def test_the_admin_changes_nothing_without_its_token(hub: World) -> None:
    get_user_model().objects.create_superuser("root", password="a-long-password-1")
    browser = Client(enforce_csrf_checks=True)
    login = browser.post("/admin/login/", {"username": "root", "password": "a-long-password-1"})
    assert login.status_code == 403
    trusted = Client()
    trusted.login(username="root", password="a-long-password-1")
    assert trusted.get("/admin/logout/").status_code == 405


def write() -> None:
    """Write the table into the page."""
    page = ROOT / "docs" / "security.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(PLACE.sub(lambda m: m[1] + attacks.table() + m[3], text), encoding="utf-8")
