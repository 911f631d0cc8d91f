"""A time-stamp authority for tests, made with `openssl ts` (RFC 3161)."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fixtures.pki import pem, private_pem

_CONFIG = """
[ tsa ]
default_tsa = tsa_config
[ tsa_config ]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True)
class TimeStampAuthority:
    """Its keys and configuration in `folder`; `root` is what an auditor is given."""

    folder: Path

    @property
    def root(self) -> Path:
        """The certificate to trust, PEM."""
        return self.folder / "root.pem"

    @classmethod
    def make(cls, folder: Path) -> "TimeStampAuthority":
        """New keys in `folder`: a root, and a signer that may only sign time stamps."""
        folder.mkdir(parents=True, exist_ok=True)
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = _certificate("Test TSA Root", root_key, None, None)
        signer = _certificate("Test TSA", key, root, root_key)
        (folder / "root.pem").write_bytes(pem([root]))
        (folder / "tsa.pem").write_bytes(pem([signer]))
        (folder / "tsa.key").write_bytes(private_pem(key))
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
        return cls(folder)

    def respond(self, request: bytes) -> bytes:
        """The answer to a time-stamp request, both in DER."""
        query, reply = self.folder / "query", self.folder / "reply"
        query.write_bytes(request)
        _openssl("ts", "-reply", "-queryfile", query, "-out", reply, "-config", self.folder / "tsa.cnf")
        return reply.read_bytes()

    def token(self, data: bytes) -> bytes:
        """A token over `data`."""
        content, query, token = (self.folder / name for name in ("data", "query", "token"))
        content.write_bytes(data)
        _openssl("ts", "-query", "-data", content, "-sha256", "-cert", "-out", query)
        words = ("-token_out", "-config", self.folder / "tsa.cnf")
        _openssl("ts", "-reply", "-queryfile", query, "-out", token, *words)
        return token.read_bytes()


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer_key or key, hashes.SHA256())
