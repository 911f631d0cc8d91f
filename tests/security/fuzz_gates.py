"""Coverage-guided fuzzing of the byte gate and the tree gate: `make fuzz`, no test.

Whatever the bytes are, `parse` answers with a tree inside every limit, or with a refusal; any other
exception, and any input of at most 64 KB that takes more than ten seconds, ends the run with a file that
shows it again.
"""

import sys

import atheris  # type: ignore[import-not-found,unused-ignore]

with atheris.instrument_imports(include=["exchange"]):
    from exchange.envelope import xml
    from exchange.refusals import Refused


def one(raw: bytes) -> None:
    """One input."""
    try:
        root = xml.parse(raw)
    except Refused:
        return
    assert xml.message_header(root) is not None
    assert b"<!DOCTYPE" not in raw.upper()
    assert len(list(root.iter())) <= xml.LIMITS.elements + xml.LIMITS.comments
    ids = [value for node in root.iter() for key, value in node.attrib.items() if key.lower() == "id"]
    assert len(ids) == len(set(ids))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
