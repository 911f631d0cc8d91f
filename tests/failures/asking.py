"""Run in the environment of a hub: `python -m tests.failures.asking NUMBER` prints the key of an export of
NUMBER events and more, which its worker makes; `… --lease-ended` lets the scheduler's next look come now."""

import os
import sys
from datetime import UTC, datetime
from uuid import uuid4

import django


def main() -> None:
    """See above."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    django.setup()
    if sys.argv[1] == "--lease-ended":
        look()
    else:
        sys.stdout.write(ask(int(sys.argv[1])))


def ask(number: int) -> str:
    """An auditor asks for every event, of which there are many."""
    from django.contrib.auth.models import Group, User

    from exchange.exports import jobs
    from exchange.exports.filters import Filter
    from exchange.models import Event, EventBody

    now = datetime.now(UTC)
    some = [Event(stream=uuid4(), seq=1, name="AdminAccess", at=now, leaf=bytes(32)) for _ in range(number)]
    for event in Event.objects.bulk_create(some, batch_size=1000):
        event.body = EventBody(event=event, raw=b"{}")
    EventBody.objects.bulk_create((event.body for event in some), batch_size=1000)
    auditor = User.objects.create_user("kiem.toan")
    auditor.groups.add(Group.objects.get(name="auditor"))
    return str(jobs.ask("trail", "csv", Filter(), now=now, user=auditor).pk)


def look() -> None:
    """What the scheduler does every minute, with every lease over."""
    from exchange import tasks
    from exchange.models import Export

    Export.objects.update(due_at=datetime.now(UTC))
    tasks.look_after_exports()


if __name__ == "__main__":
    main()
