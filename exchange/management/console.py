"""What the commands share: who acts, which agency is meant, how refusals are shown and answers printed."""

import json
import os
from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError
from django.utils import timezone

from agencies.directory import Agency, agency_by_code
from exchange.log import Actor
from exchange.refusals import Refused
from exchange.registry import Change, EnrolmentError


def change() -> Change:
    """A change made now by the operating-system account that runs the command."""
    return Change(Actor("person", f"uid:{os.getuid()}", "console"), timezone.now())


@contextmanager
def refusals_shown() -> Iterator[None]:
    """Turn a refusal into CommandError with its text in Vietnamese and English."""
    try:
        yield
    except EnrolmentError as error:
        raise CommandError(f"{error.message_vi} / {error.message_en}") from error
    except Refused as refused:
        texts = [f"{item.detail('vi')} / {item.detail('en')}" for item in refused.problems]
        raise CommandError("\n".join(texts)) from refused


def agency(code: str) -> Agency:
    """The agency that `code` means now; CommandError when there is none."""
    found = agency_by_code(code, timezone.now())
    if found is None:
        raise CommandError(f"Không có cơ quan mang mã «{code}». / There is no agency with code {code}.")
    return found


def file_bytes(path: str) -> bytes:
    """The content of an argument that names a file; an argparse error when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ArgumentTypeError(f"{path}: {error.strerror}") from error


def text(facts: Mapping[str, object], *, as_json: bool) -> str:
    """`facts` for a machine (one JSON object) or a person (one fact per line)."""
    if as_json:
        return json.dumps(facts, ensure_ascii=False)
    return "\n".join(f"{name}: {value}" for name, value in facts.items())
