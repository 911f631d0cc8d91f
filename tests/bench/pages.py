"""Server time of the pages on a hub of a million deliveries: `make bench SIZE=1000000`.

`python -m tests.bench.pages [--deliveries N] [--database NAME] [--only WORD]` fills a PostgreSQL database of
its own and drops it afterwards; a NAME is kept, and used as it stands when it is full already. Each page is
asked in this process by somebody signed in, the clerk one of the agency that sends most: what is measured is
the hub and its database, and no network. The best of TIMES counts, for the machine may have other work. Exit
code 1 when a page takes longer than its target.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.bench.rows import Row, table

LONGEST_MS = 300
TIMES = 5
PER_DOCUMENT = 10  # deliveries
OUT = Path("var/bench")
COUNTS = {"Hub-Counts": "1"}


def main() -> int:
    """Fill, measure, say; the exit code."""
    parser = argparse.ArgumentParser(prog="make bench SIZE=…")
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="its name; kept, and not filled again")
    parser.add_argument("--only", default="", help="only pages whose name has this word in it")
    given = parser.parse_args()
    os.environ["HUB_TEST_ENGINE"] = "production"
    from tests.services import database_url

    with _database(database_url(), given.database) as url:
        return _inside(url, given.deliveries, given.only)


@contextmanager
def _database(server: str, name: str) -> Iterator[str]:
    """The address of a database that is there."""
    made = name or f"hub_pages_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [made]).fetchone()
        if not known:
            connection.execute(f'CREATE DATABASE "{made}"')
    try:
        yield f"{server.rpartition('/')[0]}/{made}"
    finally:
        if not name:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{made}" WITH (FORCE)')


def _inside(url: str, deliveries: int, only: str) -> int:
    from tests import environment  # noqa: F401  # settings of a test hub

    os.environ |= {"HUB_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "exchange.settings"}
    import django

    django.setup()
    import structlog
    from django.db import connections

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    _fill(deliveries)
    sys.stdout.write(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    rows = []
    for row in _measured(only):
        rows.append(row)
        sys.stdout.write(table([row]) + "\n")
        sys.stdout.flush()
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "pages.json").write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    connections.close_all()
    return int(any(row.failed for row in rows))


def _fill(deliveries: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    from exchange import keys
    from exchange.management import filling
    from exchange.models import Package

    keys.make_missing()
    call_command("migrate", interactive=False, verbosity=0)
    if Package.objects.exists():
        return
    began = time.monotonic()
    filling.fill(deliveries // PER_DOCUMENT, deliveries, now=datetime.now(UTC), tell=lambda _written: None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # what autovacuum does within minutes
    sys.stdout.write(f"{deliveries:,} deliveries written in {time.monotonic() - began:.0f} s\n")


# --- pages ----------------------------------------------------------------------------------------------


def _measured(only: str) -> Iterator[Row]:
    for name, client, address, headers in _pages():
        if only not in name:
            continue
        client.get(address, headers=headers)  # templates and plans are read once
        times = []
        for _ in range(TIMES):
            began = time.perf_counter()
            response = client.get(address, headers=headers)
            times.append(1000 * (time.perf_counter() - began))
            assert response.status_code == 200, (name, response.status_code)
        best, slowest = min(times), max(times)
        target = f"≤ {LONGEST_MS} ms, slowest of {TIMES}: {slowest:.0f}"
        failed = f"{best:.0f} ms, target {LONGEST_MS}" if best > LONGEST_MS else ""
        yield Row(name, best, "ms", target, failed=failed)


def _pages() -> Iterator[tuple[str, Any, str, dict[str, str]]]:
    from django.urls import reverse

    from agencies.models import Agency
    from exchange.models import Delivery, Package

    busiest = Agency.objects.order_by("created_at", "code").filter(code__startswith="H99.")[0]
    newest = Package.objects.filter(sender=busiest).order_by("-accepted_at")[0]
    document = reverse("admin:exchange_package_change", args=(newest.pk,))
    row = Delivery.objects.filter(package=newest)[0]
    delivery = reverse("admin:exchange_delivery_change", args=(row.pk,))
    documents, rows = (
        reverse("admin:exchange_package_changelist"),
        reverse("admin:exchange_delivery_changelist"),
    )
    words = "q=ke+hoach+chuyen+doi+so"
    troubles = [f"{documents}?show={show}" for show in ("failed", "refused", "late", "unaccepted", "ended")]
    chips = [f"{rows}?show={show}" for show in ("waiting", "failed", "refused", "late", "unaccepted")]
    reading = [
        *(
            reverse("admin:index"),
            documents,
            *troubles,
            f"{documents}?q={newest.code}",
            f"{documents}?{words}",
        ),
        *(f"{reverse('admin:hub_quick')}?{words}", document, rows, *chips, delivery),
        reverse("admin:exchange_event_changelist"),
    ]
    moving = [reverse("admin:index"), rows, *chips, delivery, reverse("admin:hub_health")]
    for role, addresses in (("clerk", reading), ("auditor", reading), ("operator", moving)):
        client = _person(role, busiest if role == "clerk" else None)
        for address in addresses:
            yield (
                f"{role} {address.replace(str(newest.pk), '…').replace(str(row.pk), '…')}",
                client,
                address,
                {},
            )
        for address in (documents, rows) if role != "operator" else (rows,):
            yield f"{role} counts of {address}", client, address, COUNTS


def _person(role: str, agency: Any) -> Any:
    from django.contrib.auth.models import Group, User
    from django.test import Client

    from agencies.models import Membership

    user, _ = User.objects.get_or_create(username=f"bench-{role}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    if agency:
        Membership.objects.get_or_create(user=user, agency=agency)
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    return client


if __name__ == "__main__":
    sys.exit(main())
