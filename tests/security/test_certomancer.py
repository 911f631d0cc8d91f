"""Revocation as certomancer publishes it, a PKI for tests by others: fetched over HTTP, used at the door."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, demo_app, make_server

import pytest
from certomancer.integrations.animator import Animator, AnimatorArchStore
from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig, PKIArchitecture
from cryptography import x509

from exchange import revocation
from exchange.refusals import Refused
from fixtures.pki import Identity, make_key, private_pem
from tests.receiver import served
from tests.security.test_revocation import enrol, send
from tests.world import World

pytestmark = [pytest.mark.once, pytest.mark.django_db]
NAMES = ("root", "issuing", "agency")
REVOKED = {"revoked-since": "2026-02-01T00:00:00+0000", "reason": "key_compromise"}
LIST = {"id": "crl_distribution_points", "smart-value": {"schema": "crl-dist-url", "params": {"crl-repo-names": ["root"]}}}  # fmt: skip  # noqa: E501
RESPONDER = {"id": "authority_information_access", "smart-value": {"schema": "aia-urls", "params": {"ocsp-responder-names": ["issuing"]}}}  # fmt: skip  # noqa: E501
SIGNS = {"id": "key_usage", "critical": True, "smart-value": {"schema": "key-usage", "params": ["digital_signature"]}}  # fmt: skip  # noqa: E501


@dataclass(slots=True)
class Published:
    """A root whose list names what it revoked, an intermediate with a responder, an agency's certificate."""

    architecture: PKIArchitecture

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.architecture.get_cert(CertLabel(name)).dump())


def configuration(url: str, keys: Path, revoked: str) -> dict[str, Any]:
    validity = {"valid-from": "2026-01-01T00:00:00+0000", "valid-to": "2040-01-01T00:00:00+0000"}
    certificates: dict[str, Any] = {
        "root": {"issuer": "root", "profiles": ["simple-ca"]},
        "issuing": {
            "issuer": "root",
            "profiles": [{"id": "simple-ca", "params": {"max-path-len": 0}}],
            "extensions": [LIST],
        },
        "agency": {"issuer": "issuing", "extensions": [SIGNS, RESPONDER]},
    }
    for name, certificate in certificates.items():
        certificate.update({"subject": name, "validity": validity})
        if name == revoked:
            certificate["revocation"] = REVOKED
    return {
        "external-url-prefix": url,
        "keysets": {"hub": {"keys": {name: {"path": str(keys / f"{name}.pem")} for name in NAMES}}},
        "pki-architectures": {
            "hub": {
                "keyset": "hub",
                "entity-defaults": {"country-name": "VN"},
                "entities": {name: {"common-name": f"Test {name}"} for name in NAMES},
                "certs": certificates,
                "services": {
                    "crl-repo": {
                        "root": {
                            "for-issuer": "root",
                            "signing-key": "root",
                            "simulated-update-schedule": "P30D",
                        }
                    },
                    "ocsp": {
                        "issuing": {
                            "for-issuer": "issuing",
                            "responder-cert": "issuing",
                            "signing-key": "issuing",
                        }
                    },
                },
            }
        },
    }


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def published(
    request: pytest.FixtureRequest, tmp_path: Path, settings: Any, hub: World
) -> Iterator[Published]:
    """The PKI on the loopback interface, with `request.param` revoked, and the hub that trusts its root."""
    for name in NAMES:
        key = make_key("ec")
        (tmp_path / f"{name}.pem").write_bytes(private_pem(key))
        if name == "agency":
            agency = key
    with make_server("127.0.0.1", 0, demo_app, handler_class=_Quiet) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        config = CertomancerConfig(configuration(url, tmp_path, request.param), key_search_dir=str(tmp_path))
        found = Published(config.get_pki_arch(ArchLabel("hub")))
        store = AnimatorArchStore({ArchLabel("hub"): found.architecture})
        server.set_app(Animator(store, datetime.now(UTC).replace(microsecond=0), with_web_ui=False))
        trust = tmp_path / "trust"
        trust.mkdir()
        for name in ("root", "issuing"):
            (trust / f"{name}.der").write_bytes(found.architecture.get_cert(CertLabel(name)).dump())
        settings.ENVIRONMENT = replace(settings.ENVIRONMENT, trust_dir=trust)
        chain = (found.certificate("agency"), found.certificate("issuing"))
        enrol(hub, Identity(agency, chain[0], chain))
        with served(server):
            yield found


@pytest.mark.parametrize("published", [""], indirect=True)
def test_what_nobody_revoked_is_taken_without_a_warning(published: Published, hub: World) -> None:
    revocation.refresh(now := datetime.now(UTC))
    assert revocation.problems() == []
    taken = send(hub, now + timedelta(minutes=1))
    assert taken.warnings == ()
    assert taken.package.signature_state == "valid"


@pytest.mark.parametrize(
    ("published", "code"),
    [("issuing", "certificate.untrusted"), ("agency", "certificate.revoked")],
    indirect=["published"],
)
def test_a_revoked_intermediate_or_certificate_is_found_where_it_is_published(
    published: Published, hub: World, code: str
) -> None:
    """The intermediate stands on the root's list, the agency's certificate in an OCSP answer."""
    assert send(hub, datetime.now(UTC)).package.signature_state == "valid"
    revocation.refresh(now := datetime.now(UTC))
    with pytest.raises(Refused, match=re.escape(code)):
        send(hub, now + timedelta(minutes=1))
