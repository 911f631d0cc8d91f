"""Register the small city in the hub of the environment: `python -m tests.city FILE` prints its clients."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import django


def main(path: Path) -> None:
    """Enrol agencies, systems and the certificates of `path`; the keys stay with the test."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    django.setup()
    from tests import world

    facts: dict[str, Any] = json.loads(path.read_text())
    der = {code: bytes.fromhex(text) for code, text in facts["certificates"].items()}
    made = world.register(der, facts["callback_url"])
    sys.stdout.write(json.dumps(made.clients))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
