"""The vault in an S3-compatible store: one object for each package, by way of django-storages.

Such a store answers a PUT when the object is durable, shows it whole or not at all, and reads it after that
at once: what the directory does with flush and rename. Every error of the store is an OSError here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files.base import ContentFile

_IN_MEMORY = 8 << 20  # a larger object is read by way of a temporary file


@cache
def _storage() -> Any:
    # Here, because boto3 costs memory that a hub with a directory does not need. It has no types.
    backend: Any = import_module("storages.backends.s3")
    hub = settings.ENVIRONMENT
    return backend.S3Storage(
        bucket_name=hub.vault_bucket,
        endpoint_url=hub.vault_endpoint or None,
        access_key=hub.vault_access_key or None,
        secret_key=hub.vault_secret_key or None,
        max_memory_size=_IN_MEMORY,
        file_overwrite=True,
    )


@contextmanager
def _errors() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"the store {settings.ENVIRONMENT.vault_bucket}: {error}") from error


def put(name: str, raw: bytes) -> None:
    """Store `raw` under `name`; what is there whole is not sent again."""
    with _errors():
        if not _storage().exists(name) or _storage().size(name) != len(raw):
            _storage().save(name, ContentFile(raw))


def exists(name: str) -> bool:
    """Whether the object is there."""
    with _errors():
        return bool(_storage().exists(name))


def open_object(name: str) -> BinaryIO:
    """The object as a readable file. Raises FileNotFoundError."""
    with _errors():
        opened = _storage().open(name, "rb")
        opened.seek(0)  # fetches it
        return cast("BinaryIO", opened)


def delete(name: str) -> None:
    """Remove the object, if it is there."""
    with _errors():
        _storage().delete(name)


def check() -> None:
    """Whether the store takes an object now."""
    with _errors():
        _storage().save("check", ContentFile(b"x"))
