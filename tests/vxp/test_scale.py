"""Long lists and a large directory: one answer, and memory that does not grow with it."""

import json
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import uuid4

from django.db import connection

from agencies.models import Agency, Alias
from exchange import routing
from exchange.models import Delivery, Package, guards
from exchange.vxp import answers, directory, items
from tests.world import World

MEGABYTE = 1 << 20


def queue(hub: World, number: int) -> None:
    """So many packages that wait for H29.5, written without their events: the guards are away meanwhile."""
    made = hub.send("H29", "H29.5", now=datetime.now(UTC)).package
    values = {field.attname: getattr(made, field.attname) for field in Package._meta.concrete_fields}
    route = routing.Route(hub.agencies["H29.5"], "H29.5", hub.system_of("H29.5"))
    packages = [Package(**values | {"id": uuid4(), "sha256": f"{index:064x}"}) for index in range(1, number)]
    rows = [row for one in packages for row in routing.new_deliveries(one, [route], made.accepted_at)]
    guards.remove(connection)
    Package.objects.bulk_create(packages, batch_size=500)
    Delivery.objects.bulk_create(rows, batch_size=500)
    guards.install(connection)


def register(number: int) -> None:
    """So many agencies with an old code each, connected like the others."""
    office = Agency.objects.exclude(receives_through=None)[0].receives_through
    made = [
        Agency(code=f"X.{index}", folded=f"X.{index}", name=f"Cơ quan {index}", receives_through=office)
        for index in range(number)
    ]
    Agency.objects.bulk_create(made, batch_size=1000)
    codes = [Alias(agency=one, code=code, folded=code) for one in made for code in (one.code, f"O{one.code}")]
    Alias.objects.bulk_create(codes, batch_size=1000)


def peak(work: Callable[[], Iterable[object]]) -> int:
    """The most memory that Python held while what `work` makes was consumed, in bytes."""
    tracemalloc.start()
    try:
        for _ in work():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_thousands_of_items_are_one_answer_written_as_it_is_read(hub: World) -> None:
    queue(hub, 4_000)
    waiting = Delivery.objects.waiting(datetime.now(UTC)).filter(system=hub.system_of("H29.5"))
    answer = json.loads(b"".join(answers.listing(items.received(waiting))))
    assert len({item["docId"] for item in answer["data"]}) == 4_000
    assert peak(lambda: answers.listing(items.received(waiting))) < 2 * MEGABYTE


def test_a_large_directory_is_written_once_and_never_held(hub: World) -> None:
    register(5_000)
    assert peak(lambda: directory.agencies()[:1]) < 2 * MEGABYTE
    path, version = directory.agencies()
    written = path.stat().st_mtime_ns
    assert len(json.loads(path.read_bytes())["data"]) == 5_005
    assert directory.agencies() == (path, version)
    assert path.stat().st_mtime_ns == written
