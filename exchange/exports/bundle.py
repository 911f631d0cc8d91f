"""The proof bundle of one document: an ASiC-E zip (ETSI EN 319 162-1) that needs nothing of the hub.

Original package, its events as a trail with proofs, receipts, checkpoints, certificates, a page for people,
and how to check it. The manifest names every file with its digest; the hub's seal signs the manifest.
"""

import shutil
import tempfile
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4
from xml.sax.saxutils import quoteattr

from django.conf import settings

from exchange import keys, log, proofs, vault
from exchange.evidence import prove, receipts, tiles
from exchange.evidence.proof import Proof
from exchange.exports import cades, proof, trail
from exchange.exports.readers import Reader
from exchange.models import Anchor, AnchorKind, Checkpoint, Event, Log, Package
from exchange.refusals import Refused

MIMETYPE = "application/vnd.etsi.asic-e+zip"
MANIFEST, SIGNATURE = "META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s"
PACKAGE = "goi-tin.edxml"
PATIENCE = timedelta(seconds=5)  # for events that are not in the log yet


def write(path: Path, package: Package, reader: Reader, now: datetime) -> int:
    """Write the bundle of `package` for `reader`, with the events that it may see; returns how many.

    Raises Refused export.not-sealed when one of them is not in the log yet.
    """
    events = list(reader.events(package).select_related("body", "stored_receipt__header"))
    events = [event for event in events if hasattr(event, "body")]
    extracts = _extracts(events)
    sealed = _receipts(extracts)
    files = {
        **sealed,
        **_trails(extracts),
        **_certificates(sealed.values()),
        "xac-nhan.pdf": _page(package, reader, now),
        "HUONG-DAN.txt": _instructions(package, now).encode(),
    }
    digests = {PACKAGE: bytes.fromhex(package.sha256)}
    digests |= {name: sha256(data).digest() for name, data in files.items()}
    manifest = manifest_of(digests)
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("mimetype", MIMETYPE)  # first and not compressed, so that the file tells what it is
        with vault.open_bytes(package.sha256) as original, zipped.open(_entry(PACKAGE), "w") as member:
            shutil.copyfileobj(original, member)
        for name, data in files.items():
            zipped.writestr(_entry(name), data)
        zipped.writestr(_entry(MANIFEST), manifest)
        zipped.writestr(_entry(SIGNATURE), cades.sign(manifest, keys.seal(now)))
    return len(events)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # a fixed date: the times that count stand inside
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def manifest_of(digests: Mapping[str, bytes]) -> bytes:
    """The ASiCManifest that covers these files (SHA-256)."""
    references = "".join(
        f"<asic:DataObjectReference URI={quoteattr(quote(name))}>"
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{b64encode(digest).decode()}</ds:DigestValue></asic:DataObjectReference>"
        for name, digest in digests.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#"'
        ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f'<asic:SigReference URI="{SIGNATURE}" MimeType="application/pkcs7-signature"/>'
        f"{references}</asic:ASiCManifest>"
    ).encode()


@dataclass(frozen=True, slots=True)
class _Extract:
    """The events of the bundle in one log, by index, and the head that all of them are proved by."""

    log: Log
    signed: Checkpoint
    events: dict[int, Event]

    def proof(self, index: int) -> str:
        """The tlog-proof of one of them."""
        nodes = tiles.nodes(self.signed.size, proofs.reader(self.log))
        path = prove.inclusion(index, self.signed.size, nodes)
        return str(Proof(index, tuple(path), self.signed.note.encode()))


def _extracts(events: Sequence[Event]) -> list[_Extract]:
    """Where the events stand; one that stands in two logs is shown in the later one."""
    places = proofs.wait_for_places([event.pk for event in events], PATIENCE)
    if len(places) < len(events):
        raise Refused("export.not-sealed")
    found: dict[str, dict[int, Event]] = {}
    for event in events:
        found.setdefault(places[event.pk].origin, {})[places[event.pk].index] = event
    logs = Log.objects.filter(origin__in=found).order_by("id")
    return [
        _Extract(one, _head(one, max(found[one.origin])), dict(sorted(found[one.origin].items())))
        for one in logs
    ]


def _head(one: Log, last: int) -> Checkpoint:
    """The newest signed head that covers index `last`, one with a time stamp if there is any."""
    covering = one.checkpoints.filter(size__gt=last).order_by("-size")
    head = covering.filter(anchors__kind=AnchorKind.TIME_STAMP).first() or covering.first()
    if head is None:
        raise Refused("export.not-sealed")
    return head


def _receipts(extracts: Sequence[_Extract]) -> dict[str, bytes]:
    made = {}
    sealed = [(event, one.proof(index)) for one in extracts for index, event in one.events.items()]
    for number, (event, proved) in enumerate(sealed, 1):
        found = log.receipt(event)
        made[f"receipts/{number:03}-{event.name}.json"] = bytes(
            receipts.Receipt(found.raw, found.jws, proved)
        )
    return made


def _trails(extracts: Sequence[_Extract]) -> dict[str, bytes]:
    """The same events as an extract of each log that they stand in, with the time stamp of its head."""
    files: dict[str, bytes] = {}
    for number, one in enumerate(extracts, 1):
        folder = "" if len(extracts) == 1 else f"logs/{number}/"
        places = list(one.events)
        files |= {
            f"{folder}events.jsonl": b"".join(trail.lines(one.log, places)),
            f"{folder}proofs": "".join(trail.Paths(one.log, one.signed.size).lines(places)).encode(),
            f"{folder}checkpoint": one.signed.note.encode(),
        }
        if stamp := Anchor.objects.filter(checkpoint=one.signed, kind=AnchorKind.TIME_STAMP).first():
            files[f"{folder}checkpoint.tst"] = bytes(stamp.value)
    return files


def _certificates(sealed: Iterable[bytes]) -> dict[str, bytes]:
    """The certificates of every seal used, also of seals that were replaced meanwhile, and the log keys."""
    chains = [receipts.certificates(receipts.Receipt.parse(raw).jws) for raw in sealed]
    pem = dict.fromkeys([keys.seal().pem, *(one for chain in chains for one in chain)])
    logs = "".join(f"{one.key}\n" for one in Log.objects.order_by("id"))
    return {"certificates/seal.pem": b"".join(pem), "certificates/log.keys": logs.encode()}


def _page(package: Package, reader: Reader, now: datetime) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / f"{uuid4()}.pdf"
        proof.write(page, proof.of(package, reader, now))
        return page.read_bytes()


def _instructions(package: Package, now: datetime) -> str:
    return f"""GÓI BẰNG CHỨNG (ASiC-E) của văn bản {package.code}
Do {settings.ENVIRONMENT.name} ({settings.ENVIRONMENT.code}) lập lúc {now.isoformat(timespec="seconds")}

{PACKAGE:<28} gói tin gốc, đúng từng byte như nơi gửi đã gửi
receipts/*.json              biên nhận: sự kiện, con dấu của trục (JWS), chỗ đứng trong nhật ký
events.jsonl, proofs         các sự kiện ấy và đường dẫn tới gốc cây băm
checkpoint                   đầu nhật ký đã ký; checkpoint.tst: dấu thời gian RFC 3161 trên đó, nếu có
certificates/                chứng thư con dấu và khóa của nhật ký
xac-nhan.pdf                 bản đọc
META-INF/                    manifest nêu mã băm của mọi tệp, và chữ ký CAdES của trục trên manifest

KIỂM TRA NGOẠI TUYẾN. Khóa và chứng thư trong gói chỉ để đối chiếu; hãy dùng bản nhận được từ nơi khác
(trục công bố tại {settings.ENVIRONMENT.base_url.rstrip("/")}/api/v1/logs, hoặc trên giấy):

    python -m exchange.evidence.verify GÓI.asice --log-key log.keys --seal seal.pem

Chỉ riêng chữ ký, bằng openssl (giải nén gói trước):

    openssl cms -verify -cades -binary -inform DER -in {SIGNATURE} \\
        -content {MANIFEST} -CAfile seal.pem -partial_chain -purpose any -out /dev/null
"""
