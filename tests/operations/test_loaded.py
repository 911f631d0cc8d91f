"""What the hub's processes load: memory is what every process pays for, used or not."""

import os
import subprocess
import sys

from tests import live

PAGES = ("exchange.admin", "exchange.api.schema", "reportlab", "pyhanko")


def _loaded(*words: str) -> set[str]:
    """The modules of a process that runs `words` of Python."""
    program = "; ".join([*words, "import sys", "print(' '.join(sys.modules))"])
    done = subprocess.run(
        (sys.executable, "-c", program),
        cwd=live.ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "exchange.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_pages_are_loaded_only_where_they_are_served() -> None:
    setup = ("import django", "django.setup()")
    supervisor = "import exchange.management.commands.runhub, exchange.management.commands.seal_log"
    assert not _loaded(*setup, supervisor) & set(PAGES)
    assert _loaded(*setup, "import exchange.urls") >= {"exchange.admin"}


def test_the_scheduler_loads_neither_tasks_nor_models() -> None:
    start = ("from exchange.celery import scheduler", "scheduler.loader.init_worker()")
    assert not _loaded(*start, "scheduler.finalize()") & {
        "exchange.tasks",
        "exchange.models",
        "exchange.admin",
    }


def test_the_checks_of_pages_still_have_pages_to_look_at() -> None:
    setup = ("import django", "django.setup()", "from django.core import checks")
    assert "exchange.admin" in _loaded(*setup, "checks.run_checks(tags=['admin'])")
