"""Signed heads, cosignatures and proofs in the public C2SP formats."""

from base64 import b64encode

import pytest

from exchange.evidence.checkpoint import (
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    cosign,
    sign,
    verifier_key,
    verify,
)
from exchange.evidence.events import leaf_hash
from exchange.evidence.proof import Proof, parse_path_line, path_line
from exchange.evidence.tree import Broken

from .samples import LOG, LOG_KEY, NOW, ORIGIN, OTHER_LOG_KEY, WITNESS, WITNESS_KEY, Log, small_log

# The public example of Go's sumdb/note package: its signature was made by another implementation.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
HEAD = Checkpoint(ORIGIN, 7, bytes(range(32)))
RAW = sign(HEAD, LOG_KEY)


def test_the_public_example_of_a_note_is_understood() -> None:
    key, note = VerifierKey.parse(GO_KEY), Note.parse(GO_NOTE.encode())
    assert str(key) == GO_KEY
    assert bytes(note) == GO_NOTE.encode()
    assert note.signatures[0].key_id == key.id
    with pytest.raises(Broken, match="not a checkpoint"):  # the signature holds; the text is no checkpoint
        verify(GO_NOTE.encode(), [key])
    with pytest.raises(Broken, match="signature of PeterNeumann"):
        verify(GO_NOTE.replace("problem,", "problem;").encode(), [key])


def test_a_checkpoint_is_the_note_of_the_specification() -> None:
    text, signature = RAW.decode().split("\n\n")
    assert text == f"{ORIGIN}\n7\n{b64encode(HEAD.root).decode()}"
    assert signature.startswith(f"— {ORIGIN} ")
    assert signature.endswith("\n")


def test_the_log_key_opens_its_checkpoint() -> None:
    opened = verify(RAW, [LOG])
    assert (opened.checkpoint, opened.log_key, opened.witnesses) == (HEAD, LOG, {})


def test_signing_again_gives_the_same_bytes() -> None:
    assert sign(HEAD, LOG_KEY) == RAW


def test_no_byte_of_a_checkpoint_may_change() -> None:
    for place in range(len(RAW)):
        changed = RAW[:place] + bytes([RAW[place] ^ 1]) + RAW[place + 1 :]
        with pytest.raises(Broken):
            verify(changed, [LOG])


def test_another_key_of_the_same_name_is_not_trusted() -> None:
    with pytest.raises(Broken, match="no trusted key"):
        verify(sign(HEAD, OTHER_LOG_KEY), [LOG])


def test_a_key_opens_only_the_log_of_its_name() -> None:
    with pytest.raises(Broken, match="no trusted key"):
        verify(sign(Checkpoint("other.example", 7, HEAD.root), LOG_KEY, ORIGIN), [LOG])


def test_unknown_signatures_do_not_disturb() -> None:
    stranger = Signature("stranger.example", b"abcd", b"x" * 64)
    assert verify(bytes(Note.parse(RAW).added(stranger)), [LOG]).checkpoint == HEAD


def test_one_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    wrong = Signature(LOG.name, LOG.id, b"x" * 64)
    with pytest.raises(Broken, match="signature"):
        verify(bytes(Note.parse(RAW).added(wrong)), [LOG])


def test_a_rotated_key_still_opens_old_checkpoints() -> None:
    new = verifier_key(ORIGIN, OTHER_LOG_KEY)
    assert verify(RAW, [new, LOG]).log_key == LOG


def test_a_witness_signs_with_its_time() -> None:
    now = int(NOW.timestamp())
    raw = bytes(Note.parse(RAW).added(cosign(RAW, WITNESS_KEY, WITNESS.name, now)))
    assert verify(raw, [LOG], [WITNESS]).witnesses == {WITNESS.name: now}
    assert verify(raw, [LOG]).witnesses == {}


def test_the_time_of_a_witness_cannot_be_changed() -> None:
    good = cosign(RAW, WITNESS_KEY, WITNESS.name, 1_679_315_147)
    for time in (1_679_315_148, 1 << 63):
        moved = Signature(good.name, good.key_id, time.to_bytes(8, "big") + good.value[8:])
        with pytest.raises(Broken):
            verify(bytes(Note.parse(RAW).added(moved)), [LOG], [WITNESS])


def test_a_witness_alone_does_not_make_a_checkpoint() -> None:
    note = Note(HEAD.text(), (cosign(RAW, WITNESS_KEY, WITNESS.name, 1),))
    with pytest.raises(Broken, match="no trusted key"):
        verify(bytes(note), [LOG], [WITNESS])


@pytest.mark.parametrize("raw", [
    b"", b"\n\n", b"text", b"text\n\n", b"text\n\n\n", b"\xff\n\n" + RAW, RAW[:-1], RAW + b"\n", RAW + b"x\n",
    RAW.replace("— ".encode(), b"- "), RAW.replace(b"\n", b"\r\n"), RAW.replace(b"7", b"\x007"),
    b"x" * (1 << 20) + RAW,
])  # fmt: skip
def test_other_bytes_are_not_a_note(raw: bytes) -> None:
    with pytest.raises(Broken):
        Note.parse(raw)


@pytest.mark.parametrize("text", [
    "o\n07\nAA==\n", f"o\n-1\n{b64encode(bytes(32)).decode()}\n", "o\n7\n", "o\n7\nAA==\n", "\n7\nAA==\n",
    f"o\n7\n{b64encode(bytes(32)).decode()}\n\nx\n", f"o\n٧\n{b64encode(bytes(32)).decode()}\n",
    f"o\n7\n{b64encode(bytes(32)).decode()[:-1]}\n",
])  # fmt: skip
def test_other_texts_are_not_a_checkpoint(text: str) -> None:
    with pytest.raises(Broken):
        Checkpoint.parse(text)


def test_an_impossible_checkpoint_is_not_signed() -> None:
    for head in (Checkpoint("a\nb", 1, bytes(32)), Checkpoint("o", -1, bytes(32)), Checkpoint("o", 1, b"")):
        with pytest.raises(ValueError, match="checkpoint"):
            sign(head, LOG_KEY, ORIGIN)
    with pytest.raises(ValueError, match="name"):
        sign(Checkpoint("a b", 1, bytes(32)), LOG_KEY)


@pytest.mark.parametrize("text", [
    "", "name", GO_KEY.replace("c74f", "c74e"), GO_KEY.replace("+AR", "+Ag"), GO_KEY[:-4], " +00000000+AA==",
])  # fmt: skip
def test_other_texts_are_not_a_verifier_key(text: str) -> None:
    with pytest.raises(Broken):
        VerifierKey.parse(text)


# --- tlog-proof -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log() -> Log:
    return small_log()


def test_a_proof_has_the_form_of_the_specification(log: Log) -> None:
    lines = log.proof(5).split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 5"]
    assert lines[5] == ""
    assert "\n".join(lines[6:]) == log.checkpoint().decode()


def test_every_proof_of_a_log_is_read_back_and_holds(log: Log) -> None:
    for size in range(1, len(log.lines) + 1):
        for index in range(size):
            proof = Proof.parse(log.proof(index, size))
            assert str(proof) == log.proof(index, size)
            assert proof.verify(leaf_hash(log.lines[index]), [LOG]).checkpoint.size == size


def test_a_proof_is_of_one_event_only(log: Log) -> None:
    with pytest.raises(Broken, match="not at index 5"):
        Proof.parse(log.proof(5)).verify(leaf_hash(log.lines[4]), [LOG])


def test_extra_data_is_carried_but_proves_nothing(log: Log) -> None:
    text = log.proof(0).replace("\nindex", "\nextra aGk=\nindex")
    proof = Proof.parse(text)
    assert proof.extra == b"hi"
    assert str(proof) == text
    assert proof.verify(leaf_hash(log.lines[0]), [LOG])


@pytest.mark.parametrize(("old", "new"), [
    ("@v1", "@v2"), ("index 5", "index 05"), ("index 5", "index -5"), ("index 5\n", ""), ("index 5", "index"),
    ("index 5", "place 5"), ("index 5\n", "index 5\nAAAA\n"), ("index 5\n", "index 5\n???\n"),
    ("\n\n", "\n"), ("index 5", "index ٥"),
])  # fmt: skip
def test_other_texts_are_not_a_proof(log: Log, old: str, new: str) -> None:
    text = log.proof(5).replace(old, new)
    with pytest.raises(Broken):
        Proof.parse(text).verify(leaf_hash(log.lines[5]), [LOG])


def test_lines_of_paths_are_read_back() -> None:
    line = path_line(12, [bytes(32), b"x" * 32])
    assert parse_path_line(line) == (12, [bytes(32), b"x" * 32])
    for wrong in ("", "x", "01", "1 ", "1  AA==", "1 AA==", line + "\n"):
        with pytest.raises(Broken):
            parse_path_line(wrong)
