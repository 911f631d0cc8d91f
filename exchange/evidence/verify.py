"""The auditor's verifier: receipts, trails and proof bundles, offline. No Django, no database, no network.

    python -m exchange.evidence.verify PATH… --log-key KEY --seal seal.pem

PATH is a receipt (.json), a checkpoint, a trail (folder or zip) or a proof bundle (ASiC-E zip); what they
are made of stands in docs/audit-log-format.md. Only what leads to a key that the auditor brought is proof;
whatever was not looked at is listed as such. Exit code: 0 all held, 1 something did not, 2 usage.
"""

import argparse
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from exchange.evidence import bundle, folder, receipts, statements
from exchange.evidence import checkpoint as signed
from exchange.evidence.checkpoint import Checkpoint, Note, VerifierKey
from exchange.evidence.events import Event, decode, leaf_hash
from exchange.evidence.folder import Folder
from exchange.evidence.proof import Proof, parse_path_line
from exchange.evidence.report import FAILED, OK, UNCHECKED, UNREADABLE, WARNING, Report
from exchange.evidence.trails import Removals, Streams
from exchange.evidence.tree import Broken, Frontier, check_consistency, check_inclusion, close_range

CHECKPOINT = ("Checkpoint của nhật ký", "Checkpoint of the log")
CONSISTENT = ("Các checkpoint thuộc cùng một nhật ký", "The checkpoints belong to one growing log")
SEALED = ("Con dấu của trục trên sự kiện", "Seal of the hub on the event")
INCLUDED = ("Sự kiện nằm trong nhật ký", "The event stands in the log")
STREAMS = ("Chuỗi sự kiện liên tục (seq, prev)", "Trails unbroken (seq, prev)")
COMPLETE = ("Đầy đủ, không thiếu sự kiện nào", "Complete: no event is missing")
FINDINGS = {
    "streams": (OK, ("Số chuỗi sự kiện", "Number of trails")),
    "elsewhere": (UNCHECKED, ("Chuỗi bắt đầu ngoài bản này", "Trails that begin outside this file")),
    "gaps": (UNCHECKED, ("Chuỗi có sự kiện ngoài bản trích", "Gaps in trails of an extract")),
    "backwards": (WARNING, ("Thời gian lùi lại trong chuỗi", "Time runs backwards in a trail")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the auditor brought. `seal`, `tsa`: PEM files, "" for none; `seals`: what is in `seal`."""

    log_keys: Sequence[VerifierKey] = ()
    witnesses: Sequence[VerifierKey] = ()
    seals: Sequence[x509.Certificate] = ()
    seal: str = ""
    tsa: str = ""


@dataclass(slots=True)
class Verifier:
    """Checks files one after the other; at the end, every checkpoint that it met against the others."""

    trust: Trust
    trails: bool = True
    report: Report = field(default_factory=Report)
    heads: dict[tuple[str, int], bytes] = field(default_factory=dict)  # (origin, size) -> root as signed
    computed: dict[tuple[str, int], bytes] = field(default_factory=dict)  # the same, from the events
    steps: dict[tuple[str, int], tuple[int, list[bytes]]] = field(default_factory=dict)  # old -> new, proof
    removals: Removals = field(default_factory=Removals)
    parts: set[str] = field(default_factory=set)  # logs of which a part only was given

    def paths(self, paths: Iterable[Path]) -> None:
        """Check all of `paths`, trails last: they confirm the checkpoints met before. Raises OSError."""
        found = [(path, path.is_dir() or zipfile.is_zipfile(path)) for path in paths]
        for path, large in sorted(found, key=lambda item: item[1]):
            if not large and path.suffix == ".json":
                stated = b'"statement"' in path.read_bytes()[:20]
                (self.statement if stated else self.receipt)(str(path), path.read_bytes)
            elif not large:
                self.head(str(path), path.read_bytes())
            elif path.is_dir():
                self.trail(str(path), path)
            else:
                self.archive(path)
        self.removed()
        self.compare()

    def head(self, where: str, raw: bytes) -> Checkpoint | None:
        """A checkpoint, remembered for `compare`. Without a key of the log only its form is checked."""
        keys, witnesses = self.trust.log_keys, self.trust.witnesses
        if keys:
            opened = self.report.run(where, CHECKPOINT, lambda: signed.verify(raw, keys, witnesses))
            for key in witnesses if opened else ():
                status = OK if opened and key.name in opened.witnesses else UNCHECKED
                self.report.say(status, where, ("Chữ ký nhân chứng", "Cosignature of a witness"), key.name)
            found = opened.checkpoint if opened else None
        else:
            self.report.say(UNCHECKED, where, CHECKPOINT, "no --log-key")
            read = lambda: Checkpoint.parse(Note.parse(raw).text)  # noqa: E731
            found = self.report.run(where, CHECKPOINT, read, quiet=True)
        if found:
            self._met(where, found)
        return found

    def _met(self, where: str, head: Checkpoint) -> None:
        if self.heads.setdefault((head.origin, head.size), head.root) != head.root:
            self.report.say(FAILED, where, CONSISTENT, f"two different logs of {head.size} events")

    def receipt(self, where: str, raw: Callable[[], bytes]) -> None:
        """A receipt: its form, the seal, the place in the log."""
        words = ("Biên nhận và sự kiện đúng dạng", "Form of the receipt and of its event")
        read = self.report.run(where, words, lambda: _receipt(raw()))
        if read is None:
            return
        receipt, event = read
        seals = self.trust.seals or None
        seal = lambda: receipts.verify(receipt.event, receipt.jws, seals, event.time)  # noqa: E731
        cert = self.report.run(where, SEALED, seal)
        if cert and not seals:
            words = ("Chứng thư con dấu thuộc về ai", "Whose certificate the seal has")
            self.report.say(UNCHECKED, where, words, f"no --seal; SHA-256 {cert.fingerprint(SHA256()).hex()}")
        words = ("Chứng thư có bị thu hồi không", "Whether the certificate was revoked")
        self.report.say(UNCHECKED, where, words, "offline")
        if receipt.proof is None:
            self.report.say(UNCHECKED, where, INCLUDED, "no proof yet")
            return
        text = receipt.proof
        proof = self.report.run(where, INCLUDED, lambda: Proof.parse(text), quiet=True)
        head = self.head(where, proof.checkpoint) if proof else None
        if proof and head:
            self.report.run(where, INCLUDED, lambda: proof.check_path(leaf_hash(receipt.event), head))

    def statement(self, where: str, raw: Callable[[], bytes]) -> None:
        """A statement on a stream: the seal; its head of the log is compared with the others."""
        words = ("Lời xác nhận về chuỗi sự kiện đúng dạng", "Form of the statement on a stream")
        read = self.report.run(where, words, lambda: statements.parse(raw()))
        if read is None:
            return
        said, line, jws = read
        seals, typ = self.trust.seals or None, statements.TYPE
        words = ("Con dấu của trục trên lời xác nhận", "Seal of the hub on the statement")
        if self.report.run(where, words, lambda: receipts.verify(line, jws, seals, said.at, typ=typ)):
            self._met(where, Checkpoint(said.log, said.size, bytes.fromhex(said.root)))

    def archive(self, path: Path) -> None:
        """A zip: a proof bundle if it has a manifest, else a trail."""
        words = ("Tệp nén đọc được, không tên nào lặp", "The zip can be read, no name occurs twice")
        zipped = self.report.run(str(path), words, lambda: folder.open_zip(path))
        if zipped is None:
            return
        with zipped:
            names = zipped.namelist()
            if bundle.manifests(names):
                trust = self.trust
                bundle.check(self.report, str(path), zipped, seal=trust.seal, tsa=trust.tsa)
                for name in names:
                    if name.startswith("receipts/") and name.endswith(".json"):
                        self.receipt(f"{path}/{name}", partial(zipped.read, name))
            last = "events.jsonl"  # one trail for each log
            inside = [name.removesuffix(last) for name in names if name.endswith(last)]
            for place in inside or ([] if bundle.manifests(names) else [""]):
                self.trail(f"{path}/{place}".rstrip("/"), zipfile.Path(zipped, place))

    def trail(self, where: str, files: Folder) -> None:
        """A trail: `events.jsonl` and `checkpoint`, with `range`, `proofs` and `consistency` where needed."""
        raw = self.report.run(where, CHECKPOINT, lambda: folder.read(files / "checkpoint"), quiet=True)
        head = self.head(where, raw) if raw is not None else None
        if head is None:
            return
        if raw is not None and (files / "checkpoint.tst").exists():
            token = folder.read(files / "checkpoint.tst")
            bundle.check_token(self.report, f"{where}/checkpoint.tst", token, raw, self.trust.tsa)
        if (files / "consistency").exists():
            words = ("Bằng chứng nối checkpoint đọc được", "Consistency proofs can be read")
            steps = self.report.run(where, words, lambda: folder.steps(files)) or {}
            self.steps.update({(head.origin, old): (head.size, path) for old, path in steps.items()})
            if not (files / "events.jsonl").exists():
                return  # a newer checkpoint with the proof that it extends a kept one
        filtered = (files / "proofs").exists()
        streams = Streams(head.origin, self.removals, filtered)
        work = self._extract if filtered else self._range
        words = ("Mọi sự kiện nêu ra đều nằm trong nhật ký", "Every event shown stands in the log")
        found = self.report.run(where, words, lambda: work(files, head, streams))
        if found is None:
            return
        whole, summary = found
        self.report.say(UNCHECKED if filtered else OK, where, COMPLETE, summary)
        self._streams(where, streams, limited=not whole)

    def _range(self, files: Folder, head: Checkpoint, streams: Streams) -> tuple[bool, str]:
        """All events of an index range give the root. Returns whether that is the whole log, and how much."""
        line = folder.read(files / "range") if (files / "range").exists() else b"0"
        first, hashes = parse_path_line(line.decode())
        tree, streams.later = Frontier(first, hashes[: first.bit_count()]), first > 0
        met = sorted(size for origin, size in self.heads if origin == head.origin)
        found: dict[tuple[str, int], bytes] = {}
        for lines, leaves in folder.events(files):
            start, done = tree.size, 0
            if self.trails:
                streams.add(range(start, start + len(lines)), lines, leaves)
            for size in (s for s in met if start < s <= start + len(leaves)):
                tree.extend(leaves[done : size - start])
                done, found[head.origin, size] = size - start, tree.root()
            tree.extend(leaves[done:])
        end = tree.size
        if close_range(tree, head.size, hashes[first.bit_count() :]) != head.root:
            raise Broken(f"the {end - first} events from index {first} on do not give the root")
        self.computed.update(found)
        return (first, end) == (0, head.size), f"{end - first} / {head.size}, index {first}–{end - 1}"

    def _extract(self, files: Folder, head: Checkpoint, streams: Streams) -> tuple[bool, str]:
        """Every event of a filtered export stands in the log, once and in order."""
        count, last = 0, -1
        with folder.open_member(files / "proofs") as paths:
            for lines, leaves in folder.events(files):
                places = []
                for leaf in leaves:
                    index, path = parse_path_line(paths.readline().decode())
                    if index <= last:
                        raise Broken(f"index {index} follows index {last}")
                    check_inclusion(leaf, index, head.size, path, head.root)
                    places.append(last := index)
                count += len(places)
                if self.trails:
                    streams.add(places, lines, leaves)
            if paths.readline():
                raise Broken("there are more proofs than events")
        return False, f"filtered: {count} / {head.size}"

    def _streams(self, where: str, streams: Streams, limited: bool) -> None:
        if not self.trails:
            self.report.say(UNCHECKED, where, STREAMS, "--no-trails")
            return
        found = self.report.run(where, STREAMS, streams.check) or Counter()
        for name, (status, words) in FINDINGS.items():
            if found[name]:
                self.report.say(status, where, words, str(found[name]))
        self.parts |= {streams.log} if limited else set()
        absent = [] if limited else sorted(streams.named)
        if absent:
            words = ("Lượt gửi được nêu nhưng chưa có sự kiện", "Deliveries named, without an event so far")
            self.report.say(WARNING, where, words, f"{len(absent)}: {', '.join(absent[:5])}")

    def removed(self) -> None:
        """Bodies that were removed are named by a later event, of the same log or of one given with it."""
        for log, count, silent in self.removals.found():
            status = OK if not silent else UNCHECKED if log in self.parts else FAILED
            words = ("Nội dung bị xóa có sự kiện nêu tên", "Removed bodies are named by a later event")
            hint = ", perhaps in a later log: give its trail too" if silent else ""
            self.report.say(status, log, words, f"{count}; not named: {silent}{hint}")

    def compare(self) -> None:
        """Every checkpoint met must be of one growing log: by its events, or by consistency proofs."""
        for place, root in self.computed.items():
            check = self.heads[place], root
            self.report.run("{} {}".format(*place), CONSISTENT, lambda: _same(*check))  # noqa: B023 (runs at once)
        for (origin, old), (new, path) in self.steps.items():
            if (origin, old) in self.heads:
                step = (old, self.heads[origin, old], new, self.heads[origin, new], path)
                where = f"{origin} {old} → {new}"
                self.report.run(where, CONSISTENT, lambda: check_consistency(*step))  # noqa: B023
        for origin in sorted({origin for origin, _ in self.heads}):
            for size in sorted(self._unlinked(origin)):
                words = "neither the events nor a consistency proof up to it"
                self.report.say(UNCHECKED, f"{origin} {size}", CONSISTENT, words)

    def _unlinked(self, origin: str) -> set[int]:
        """Sizes of checkpoints that nothing connects with the others."""
        met = {size for name, size in self.heads if name == origin}
        linked = {size for name, size in self.computed if name == origin} or {max(met)}
        steps = [{old, new} for (name, old), (new, _) in self.steps.items() if name == origin]
        for _ in steps:
            linked |= {size for step in steps if step & linked for size in step}
        return met - linked


def _receipt(raw: bytes) -> tuple[receipts.Receipt, Event]:
    receipt = receipts.Receipt.parse(raw)
    return receipt, decode(receipt.event)


def _same(computed: bytes, root: bytes) -> None:
    if computed != root:
        raise Broken("the events give another root than the one that was signed")


def _trust(options: argparse.Namespace) -> Trust:
    """Keys and certificates from the command line. Broken, ValueError or OSError if one cannot be used."""
    texts = [Path(k).read_text() if Path(k).is_file() else k for k in (*options.log_key, *options.witness)]
    keys = [VerifierKey.parse(line) for text in texts for line in text.splitlines() if line.strip()]
    seals = x509.load_pem_x509_certificates(Path(options.seal).read_bytes()) if options.seal else []
    return Trust(
        log_keys=[key for key in keys if key.kind == signed.LOG],
        witnesses=[key for key in keys if key.kind == signed.WITNESS],
        seals=seals,
        seal=options.seal,
        tsa=options.tsa,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verify", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--log-key", action="append", default=[], help="key of the log, or a file of keys")
    parser.add_argument("--witness", action="append", default=[], help="key of a witness, or a file of keys")
    parser.add_argument("--seal", default="", help="PEM: certificate of the hub's seal, or of its authority")
    parser.add_argument("--tsa", default="", help="PEM: certificate of the time-stamp authority")
    parser.add_argument("--without-keys", action="store_true", help="check only that the files agree")
    parser.add_argument(
        "--no-trails", dest="trails", action="store_false", help="faster: bytes and root only"
    )
    parser.add_argument("--lang", choices=("both", "vi", "en"), default="both")
    parser.add_argument("--json", action="store_true")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names and print the report. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not (options.log_key or options.seal or options.without_keys):
        parser.error("cần --log-key và --seal | give --log-key and --seal, or say --without-keys")
    try:
        verifier = Verifier(_trust(options), options.trails)
        verifier.paths(options.paths)
    except UNREADABLE as error:
        parser.error(str(error))
    report = verifier.report
    print(report.json() if options.json else "\n".join(report.lines(options.lang)))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
