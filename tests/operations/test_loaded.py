"""What the hub's processes load: memory is what every process pays for, used or not."""

import os
import subprocess
import sys

import pytest

from tests import live

pytestmark = pytest.mark.once

PAGES = ("exchange.admin", "exchange.api.schema", "reportlab", "pyhanko")


def _loaded(*words: str) -> set[str]:
    """The modules of a process that runs `words` of Python."""
    return _said(*words, "import sys", "print(' '.join(sys.modules))")


def _said(*words: str) -> set[str]:
    """The words that a process prints which runs `words` of Python."""
    program = "; ".join(words)
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


@pytest.mark.parametrize("first", ["exchange.urls", "exchange.admin.language", "exchange.wsgi"])
def test_no_page_of_a_library_is_served_whatever_is_imported_first(first: str) -> None:
    """A web process loads its middleware, and with it the hub's pages, before it loads the addresses."""
    pages = "print(' '.join(model._meta.label for model in admin.site._registry))"
    setup = ("import django", "django.setup()", f"import {first}, exchange.urls")
    served = _said(*setup, "from django.contrib import admin", pages)
    assert {label.partition(".")[0] for label in served} == {"agencies", "auth", "exchange"}
