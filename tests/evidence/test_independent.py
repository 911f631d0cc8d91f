"""The formats are the public ones: programs that know nothing of this project read and check them.

Go's sumdb packages (Debian: golang-golang-x-mod-dev) for checkpoints, tiles and proofs; joserfc for the seal.
Time stamps and the bundle's signature are checked by `openssl` in test_verify.py.
"""

import json
import os
import subprocess
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey

from exchange.evidence import prove, receipts, tiles

from .samples import LOG, SEAL, Log, memory, small_log

EVENTS = 600  # more than two tiles
OLD = 300
PROGRAM = Path(__file__).with_name("independent.go")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, compiled without a network."""
    made = tmp_path_factory.mktemp("go")
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": "/usr/share/gocode"}
    environment |= {"GOCACHE": str(made / "cache"), "CGO_ENABLED": "0"}
    command = ["go", "build", "-o", str(made / "independent"), str(PROGRAM)]
    subprocess.run(command, env=environment, check=True, timeout=300)
    return made / "independent"


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """A log of 600 events: heads, every inclusion proof, a consistency proof, tiles."""
    log = Log()
    for number in range(EVENTS):
        log.add("Reminder", f"d{number % 50}", delivery=f"d{number % 50}")
    leaves = log.leaves
    nodes = memory(leaves)
    grown = tiles.extend(0, leaves, lambda level, index, width: b"")
    return {
        "Key": str(LOG),
        "Old": log.checkpoint(OLD).decode(),
        "New": log.checkpoint().decode(),
        "Events": [line.decode() for line in log.lines],
        "Inclusion": {str(i): texts(prove.inclusion(i, EVENTS, nodes)) for i in range(EVENTS)},
        "Consistency": texts(prove.consistency(OLD, EVENTS, nodes)),
        "Tiles": {f"{tile.level}/{tile.index}": b64encode(data).decode() for tile, data in grown},
    }


def texts(hashes: list[bytes]) -> list[str]:
    return [b64encode(step).decode() for step in hashes]


def asked(program: Path, facts: dict[str, Any]) -> tuple[int, str]:
    done = subprocess.run(
        [program], input=json.dumps(facts), capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout


def test_go_reads_checkpoints_tiles_and_proofs(program: Path, facts: dict[str, Any]) -> None:
    assert asked(program, facts) == (0, f"ok {EVENTS}\n")


WRONG: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "note": lambda facts: {"New": facts["New"].replace("\n600\n", "\n599\n")},
    "inclusion": lambda facts: {"Inclusion": {"7": facts["Inclusion"]["8"]}},
    "consistency": lambda facts: {"Consistency": facts["Consistency"][::-1]},
    "tile": lambda facts: {"Events": [*facts["Events"][:-1], facts["Events"][0]], "Inclusion": {}},
}


@pytest.mark.parametrize("what", WRONG)
def test_go_refuses_what_is_wrong(program: Path, facts: dict[str, Any], what: str) -> None:
    code, said = asked(program, {**facts, **WRONG[what](facts)})
    assert code == 1
    assert said.startswith(what)


def test_a_second_jose_library_reads_the_seal() -> None:
    receipt = receipts.Receipt.parse(small_log().receipt(3))
    header, _, signature = receipt.jws.split(".")
    public = SEAL.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key, registry = ECKey.import_key(public), jws.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = 1 << 16  # its default of 512 bytes is too little for any `x5c`

    def verified(event: bytes) -> jws.CompactSignature:
        payload = urlsafe_b64encode(event).rstrip(b"=").decode()
        return jws.deserialize_compact(f"{header}.{payload}.{signature}", key, registry=registry)

    read = verified(receipt.event)
    assert read.payload == receipt.event
    assert read.headers()["typ"] == receipts.TYPE
    with pytest.raises(BadSignatureError):
        verified(receipt.event + b" ")
