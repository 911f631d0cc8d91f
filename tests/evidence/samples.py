"""Keys, certificates and a small log for these tests. Keys come from fixed numbers: they guard nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from exchange.evidence import checkpoint, events, proof, prove, receipts, tree

ORIGIN = "hub.example/log2026"
NOW = datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=UTC)
LOG_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_LOG_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
LOG = checkpoint.verifier_key(ORIGIN, LOG_KEY)
WITNESS = checkpoint.verifier_key("witness.example", WITNESS_KEY, checkpoint.WITNESS)


def certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    by: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
) -> x509.Certificate:
    """A certificate for two years around NOW."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(len(subject) + 1)
        .not_valid_before(NOW - timedelta(days=365))
        .not_valid_after(NOW + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return builder.sign(by, hashes.SHA256())


ROOT_KEY, SEAL_KEY, OTHER_KEY = (ec.derive_private_key(n, ec.SECP256R1()) for n in (1001, 1002, 1003))
ROOT = certificate("Example Root", ROOT_KEY, "Example Root", ROOT_KEY, ca=True)
SEAL = certificate("Example Hub Seal", SEAL_KEY, "Example Root", ROOT_KEY)
CHAIN = [SEAL.public_bytes(serialization.Encoding.DER)]


def memory(leaves: Sequence[bytes]) -> prove.Nodes:
    """Nodes of a tree that is held in memory."""
    return lambda level, index: tree.root(leaves[index << level : (index + 1) << level])


@dataclass(slots=True)
class Log:
    """A log being written: events in streams, each linked to the one before it."""

    lines: list[bytes] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    origin: str = ORIGIN

    def add(self, name: str, stream: str, **changes: object) -> bytes:
        """Append an event of type `name`; it follows the last one of its stream."""
        seq, prev = self.heads.get(stream, (0, None))
        event = replace(events.example(name), time=NOW + timedelta(seconds=len(self.lines)))
        event = replace(event, id=f"e{len(self.lines)}", stream=stream, seq=seq + 1, prev=prev)
        self.lines.append(events.encode(replace(event, **changes)))  # type: ignore[arg-type]
        self.heads[stream] = seq + 1, events.leaf_hash(self.lines[-1]).hex()
        return self.lines[-1]

    @property
    def leaves(self) -> list[bytes]:
        return [events.leaf_hash(line) for line in self.lines]

    def checkpoint(self, size: int | None = None, key: Ed25519PrivateKey = LOG_KEY) -> bytes:
        """The signed head at `size` (default: now)."""
        leaves = self.leaves[:size]
        return checkpoint.sign(checkpoint.Checkpoint(self.origin, len(leaves), tree.root(leaves)), key)

    def proof(self, index: int, size: int | None = None) -> str:
        """The tlog-proof of one event."""
        leaves = self.leaves[:size]
        path = prove.inclusion(index, len(leaves), memory(leaves))
        return str(proof.Proof(index, tuple(path), self.checkpoint(size)))

    def receipt(self, index: int, size: int | None = None) -> bytes:
        """The receipt file of one event."""
        raw = self.lines[index]
        return bytes(receipts.Receipt(raw, receipts.sign(raw, SEAL_KEY, CHAIN), self.proof(index, size)))

    def export(self, folder: Path, lines: Sequence[bytes] | None = None) -> Path:
        """A full trail in `folder`, with `lines` in place of the true ones."""
        folder.mkdir(exist_ok=True)
        (folder / "checkpoint").write_bytes(self.checkpoint())
        (folder / "events.jsonl").write_bytes(
            b"".join(line + b"\n" for line in (self.lines if lines is None else lines))
        )
        return folder

    def extract(self, folder: Path, places: Sequence[int]) -> Path:
        """A filtered trail: only the events at `places`, each with its path."""
        self.export(folder, [self.lines[i] for i in places])
        leaves = self.leaves
        paths = [proof.path_line(i, prove.inclusion(i, len(leaves), memory(leaves))) for i in places]
        (folder / "proofs").write_text("".join(paths))
        return folder

    def part(self, folder: Path, first: int, end: int) -> Path:
        """The index range [first, end) with its range proof."""
        self.export(folder, self.lines[first:end])
        leaves = self.leaves
        hashes = prove.range_proof(first, end, len(leaves), memory(leaves))
        (folder / "range").write_text(proof.path_line(first, hashes))
        return folder


def small_log() -> Log:
    """A document to two recipients: taken, queued, handed over, accepted by one and refused by the other."""
    log = Log()
    log.add("SubmissionAcceptance", "p1", deliveries=("d1", "d2"))
    for delivery in ("d1", "d2"):
        log.add("ContentConsignment", delivery, delivery=delivery)
    for delivery in ("d2", "d1"):
        log.add("ContentHandover", delivery, delivery=delivery)
    log.add("ConsignmentAcceptance", "d1", delivery="d1")
    log.add("ConsignmentRejection", "d2", delivery="d2")
    return log
