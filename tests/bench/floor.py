"""The floors: the same work with nothing in between, on the same server and database.

`application` is a plain Django view: token, parse, verify by hand, hash, fsync, the same rows. It is served
like the hub's by `python -m tests.bench.floor PORT PROCESSES THREADS`.
"""

import base64
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

TABLES = (
    "exchange_event", "exchange_eventbody", "exchange_pending", "exchange_feedentry",
    "exchange_statisticsdelta", "exchange_package", "exchange_delivery",
    "exchange_attachedfile", "exchange_attempt",
)  # fmt: skip
_UUID, _DIGEST = "#uuid ", "#sha256"
DS = "{http://www.w3.org/2000/09/xmldsig#}"


def prepare(package: str) -> dict[str, list[tuple[Any, ...]]]:
    """Make empty tables like the hub's, with their indexes (on PostgreSQL) but no foreign keys and guards;
    returns the rows of `package`."""
    from django.db import connection

    like = "CREATE TABLE IF NOT EXISTS {floor} AS SELECT * FROM {table} WHERE 1 = 0"
    if connection.vendor == "postgresql":
        like = "CREATE TABLE IF NOT EXISTS {floor} (LIKE {table} INCLUDING ALL)"
    else:
        package = package.replace("-", "")
    of_package = f"SELECT id FROM exchange_delivery WHERE package_id = '{package}'"
    of_events = f"IN (SELECT id FROM exchange_event WHERE package = '{package}')"
    which = {
        "exchange_event": f"package = '{package}'",
        "exchange_eventbody": f"event_id {of_events}",
        "exchange_pending": f"event_id {of_events}",
        "exchange_feedentry": f"event_id {of_events}",
        "exchange_statisticsdelta": "TRUE",
        "exchange_package": f"id = '{package}'",
        "exchange_delivery": f"package_id = '{package}'",
        "exchange_attachedfile": f"package_id = '{package}'",
        "exchange_attempt": f"delivery_id IN ({of_package})",
    }
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(of_package)
        deliveries = {str(one) for (one,) in cursor.fetchall()}
        for table in TABLES:
            cursor.execute(like.format(floor=table.replace("exchange", "floor"), table=table))
            cursor.execute(f"SELECT * FROM {table} WHERE {which[table]}")
            columns = [column[0] for column in cursor.description]
            rows[table] = [
                tuple(
                    _marked(table, name, value, package, deliveries)
                    for name, value in zip(columns, row, strict=True)
                )
                for row in cursor.fetchall()
            ]
    return rows


def verify(raw: bytes) -> None:
    """Parse, and verify the enveloped signature by hand: two canonical forms, a digest, one RSA operation."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from lxml import etree

    root: Any = etree.fromstring(raw)
    signature = root.find(f".//{DS}Signature")
    info, value = signature[0], base64.b64decode(signature[1].text)
    signed = etree.tostring(info, method="c14n", exclusive=True)
    der = base64.b64decode(signature.find(f".//{DS}X509Certificate").text)
    key: Any = x509.load_der_x509_certificate(der).public_key()
    signature.getparent().remove(signature)
    digest = hashlib.sha256(etree.tostring(root, method="c14n", exclusive=True)).digest()
    assert base64.b64decode(info.find(f".//{DS}DigestValue").text) == digest
    key.verify(value, signed, padding.PKCS1v15(), hashes.SHA256())


def keep(directory: Path, raw: bytes) -> str:
    """Write `raw` durably under its SHA-256."""
    sha256 = hashlib.sha256(raw).hexdigest()
    target = directory / sha256
    temporary = target.with_name(secrets.token_hex(8))
    with temporary.open("xb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(target)
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return sha256


def insert(rows: dict[str, list[tuple[Any, ...]]], digests: list[str]) -> None:
    """The rows of one acceptance for each of `digests`, with ids of their own: a statement for each table, in
    one transaction."""
    from django.db import connection, transaction

    copies = [_fresh(rows, sha256) for sha256 in digests]
    with transaction.atomic(), connection.cursor() as cursor:
        for table, some in rows.items():
            one = f"({', '.join(['%s'] * len(some[0]))})"
            every = ", ".join([one] * len(some) * len(copies))
            values = [fresh[v] if _is_mark(v) else v for fresh in copies for row in some for v in row]
            cursor.execute(f"INSERT INTO {table.replace('exchange', 'floor')} VALUES {every}", values)


def _fresh(rows: dict[str, list[tuple[Any, ...]]], sha256: str) -> dict[str, Any]:
    """What the marks in `rows` stand for in one more acceptance."""
    marks = {value for some in rows.values() for row in some for value in row if _is_mark(value)}
    fresh = {mark: uuid4().hex if mark.startswith(_UUID) else secrets.randbits(62) for mark in marks}
    return fresh | {_DIGEST: sha256}


def _marked(table: str, column: str, value: Any, package: str, deliveries: set[str]) -> Any:
    """A value that the next acceptance has anew, as a word that no other value is."""
    if (table, column) == ("exchange_package", "sha256"):
        return _DIGEST
    if (table, column) == ("exchange_attempt", "id"):
        return f"{_UUID}{value}"
    if column == "position":  # given to an entry of the feed by its first reader
        return None
    if str(value) in {package, *deliveries}:
        return f"{_UUID}{value}"
    if isinstance(value, int) and column in ("id", "event_id"):
        return f"#{'exchange_event' if column == 'event_id' else table} {value}"
    return value


def of_handover(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Of the `rows` of a pushed package those that its handover wrote: attempt, event and what stands beside
    it. Not its deltas, of which a batch has a handful."""
    [event] = [row for row in rows["exchange_event"] if "ContentHandover" in row]
    [mark] = [value for value in event if _is_mark(value) and value.startswith("#exchange_event")]
    beside = {
        table: [row for row in rows[table] if mark in row]
        for table in ("exchange_eventbody", "exchange_feedentry")
    }
    return {
        "exchange_attempt": rows["exchange_attempt"],
        "exchange_event": [event],
        **beside,
        "exchange_pending": [(mark,)],
    }


def queue(rows: dict[str, list[tuple[Any, ...]]], number: int) -> None:
    """Let so many copies of the delivery in `rows` wait."""
    from django.db import connection

    insert({"exchange_delivery": rows["exchange_delivery"]}, [""] * number)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE floor_delivery SET state = 'queued', due_at = queued_at")


def claim(number: int) -> list[Any]:
    """Take so many, by hand: their ids."""
    from django.db import connection

    skip = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE floor_delivery SET due_at = expires_at, attempts = attempts + 1 WHERE id IN ("
            "SELECT id FROM floor_delivery WHERE state = 'queued' AND due_at < expires_at "
            f"ORDER BY due_at, id LIMIT %s {skip}) RETURNING id",
            [number],
        )
        return [key for (key,) in cursor.fetchall()]


def settle(rows: dict[str, list[tuple[Any, ...]]], claimed: list[Any]) -> None:
    """Write the `rows` of a handover for each of `claimed`, and their new state."""
    from django.db import connection, transaction

    places = ", ".join(["%s"] * len(claimed))
    with transaction.atomic(), connection.cursor() as cursor:
        insert(rows, [""] * len(claimed))
        cursor.execute(
            "UPDATE floor_delivery SET state = 'handed_over', handed_over_at = due_at, seq = seq + 1 "
            f"WHERE id IN ({places})",
            claimed,
        )


def _is_mark(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("#")


def _view() -> Callable[..., Any]:
    from django.db import connection
    from django.http import HttpRequest, HttpResponse, JsonResponse

    rows = json.loads(Path(os.environ["FLOOR_ROWS"]).read_text(), object_hook=as_bytes)
    directory = Path(os.environ["FLOOR_ROWS"]).parent / "floor-vault"
    directory.mkdir(exist_ok=True)

    def view(request: HttpRequest) -> HttpResponse:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM oauth2_provider_accesstoken WHERE token_checksum = %s",
                [hashlib.sha256(token.encode()).hexdigest()],
            )
            assert cursor.fetchone()
        raw = request.body
        verify(raw)
        sha256 = keep(directory, raw)
        insert(rows, [sha256])
        return JsonResponse({"sha256": sha256}, status=201)

    return view


def dump(rows: dict[str, list[tuple[Any, ...]]], path: Path) -> None:
    """Write `rows` for the floor's processes."""

    def plain(value: Any) -> Any:
        return {"hex": bytes(value).hex()} if isinstance(value, bytes | memoryview) else str(value)

    path.write_text(json.dumps(rows, default=plain))


def as_bytes(value: dict[str, Any]) -> Any:
    """The other way round."""
    return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else value


def load(_target: str) -> Callable[..., Any]:
    """The floor as a WSGI application, in a serving process."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    django.setup()
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import path

    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    urls = import_module("types").ModuleType("floor_urls")
    urls.urlpatterns = [path("floor", _view())]
    sys.modules["floor_urls"] = urls
    settings.ROOT_URLCONF = "floor_urls"
    return WSGIHandler()


def main() -> None:
    """Serve the floor until a signal."""
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    port, processes, threads = (int(word) for word in sys.argv[1:4])
    Server(
        "floor",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=processes,
        blocking_threads=threads,
        log_level=LogLevels.error,
    ).serve(target_loader=load)


if __name__ == "__main__":
    main()
