"""`python -m tests.bench.backlog NUMBER`: how fast the sealer makes up for a stop; own database."""

import os
import sys
import time
from datetime import UTC, datetime
from uuid import uuid4

from tests import environment

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def catch_up(number: int) -> float:
    """Events a second, on a database of its own."""
    from django.test.utils import setup_databases, teardown_databases

    from exchange import keys, sealing
    from exchange.evidence.tree import leaf_hash
    from exchange.models import Event, EventBody, Pending

    made = setup_databases(verbosity=0, interactive=False)
    keys.make_missing()
    for _ in range(0, number, 5000):
        rows = [Event(stream=uuid4(), seq=1, name="Reminder", at=NOW) for _ in range(5000)]
        raws = [f"{row.stream}{'x' * 700}".encode() for row in rows]
        for row, raw in zip(rows, raws, strict=True):
            row.leaf = leaf_hash(raw)
        Event.objects.bulk_create(rows)
        EventBody.objects.bulk_create(
            [EventBody(event=row, raw=raw) for row, raw in zip(rows, raws, strict=True)]
        )
        Pending.objects.bulk_create([Pending(event=row) for row in rows])
    sealing.open_log(NOW)
    began = time.monotonic()
    rate = sealing.seal(NOW) / (time.monotonic() - began)
    teardown_databases(made, verbosity=0)
    return rate


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    import django

    sys.stderr.write(f"production: {environment.PRODUCTION}\n")
    django.setup()
    sys.stdout.write(f"{catch_up(int(sys.argv[1]))}\n")
