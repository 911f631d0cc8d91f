"""Register what the benches need beside the small city, in the hub of the environment; prints its clients.

`python -m tests.bench.crowd CALLBACK_URL`: a hundred agencies on one pulling system, one on a pushed one.
"""

import json
import os
import sys

import django

MANY = [f"H29.{number}" for number in range(1001, 1101)]
PULLED, PUSHED = "H29.2001", "H29.2002"


def main(callback_url: str) -> None:
    """Enrol them through the registry, as an operator would."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    django.setup()
    from django.utils import timezone

    from exchange import registry
    from tests.world import ACTOR

    by = registry.Change(ACTOR, timezone.now())
    agencies = {
        code: registry.register_agency(code, f"Cơ quan {code}", by=by) for code in (*MANY, PULLED, PUSHED)
    }
    many = registry.register_system("crowd", by=by, agencies=[agencies[code] for code in MANY])
    pulled = registry.register_system("puller", by=by, agencies=[agencies[PULLED]])
    pushed = registry.register_system(
        "pushed", by=by, agencies=[agencies[PUSHED]], delivery="push", callback_url=callback_url
    )
    made = {"crowd": many, "puller": pulled, "pushed": pushed}
    sys.stdout.write(json.dumps({name: (one.client_id, one.client_secret) for name, one in made.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
