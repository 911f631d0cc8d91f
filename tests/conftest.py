"""What tests share: the small city of `tests/world.py`, and a database that can be emptied."""

import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection, transaction
from django.db.models import Model
from django.test import TransactionTestCase
from django.utils import translation
from pytest_django.plugin import DjangoDbBlocker

from exchange import keys as hub_keys
from exchange.models import guards
from tests import environment, migrated, services, world
from tests.world import Keys, World

ONCE = {"envelope", "evidence", "browser"}
"""Directories whose tests are all marked `once`."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Each pass takes what its engine has a part in: `postgresql` is for the production pass only, `once` for
    the embedded one only. The other does not list it.

    Whole hubs on one RabbitMQ share its queues, so of several test processes only one runs them, unless each
    process has a virtual host.
    """
    for item in items:
        parts = item.path.relative_to(config.rootpath).parts
        if ONCE & set(parts):
            item.add_marker(pytest.mark.once)
        if {"journeys", "failures"} & set(parts):
            shared = environment.PRODUCTION and services.broker_is_shared()
            group = "whole hubs" if shared else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))
    other = "once" if environment.PRODUCTION else "postgresql"
    needless = [item for item in items if item.get_closest_marker(other)]
    if needless:
        config.hook.pytest_deselected(items=needless)
        items[:] = [item for item in items if item not in needless]
    yield
    # Whole hubs take longest, so they begin. pytest-django puts them last, as they use no test database.
    items.sort(key=lambda item: (item.get_closest_marker("xdist_group") is None, _uses_database(item)))


def _uses_database(item: pytest.Item) -> bool:
    named = {"db", "transactional_db"} & set(getattr(item, "fixturenames", ()))
    return bool(named) or item.get_closest_marker("django_db") is not None


@pytest.fixture(autouse=True)
def language() -> Iterator[None]:
    """Every test begins in the hub's language; a request leaves its own to the thread that served it."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hashing a password takes a third of a second on purpose, which says nothing about the hub."""
    rounds, PBKDF2PasswordHasher.iterations = PBKDF2PasswordHasher.iterations, 1
    yield
    PBKDF2PasswordHasher.iterations = rounds


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """On SQLite the database of the tests is there before Django looks; its directory goes with the run."""
    return not environment.PRODUCTION


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """The database of the tests is a copy of the migrated one, so Django finds nothing left to migrate."""
    test = connection.settings_dict["TEST"]
    if environment.PRODUCTION:
        test["TEMPLATE"] = migrated.database()
    else:
        shutil.copy(migrated.database(), test["NAME"])


@pytest.fixture(scope="session")
def written_by_migrations(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> list[list[Model]]:
    """The rows that migrations make, such as roles and holidays, by table."""
    with django_db_blocker.unblock():
        tables = [model._base_manager.order_by("pk") for model in apps.get_models(include_auto_created=True)]
        return [list(rows) for rows in tables if rows]


@pytest.fixture(scope="session")
def real_commits(written_by_migrations: list[list[Model]]) -> Iterator[None]:
    """Tests with real commits empty the tables afterwards, which the guards rightly refuse.

    What migrations wrote is put back, so that tests may run in any order. Nearly all tables are empty anyway:
    a TRUNCATE of each, as Django does it, makes PostgreSQL write hundreds of new files.
    """
    case: Any = TransactionTestCase
    emptied = case._fixture_teardown

    def teardown(self: TransactionTestCase) -> None:
        guards.remove(connection)
        with transaction.atomic():
            with connection.cursor() as cursor:
                for table in connection.introspection.django_table_names(only_existing=True):
                    cursor.execute(f'DELETE FROM "{table}"')
            for rows in written_by_migrations:
                # Triggers have written the stamps of what was deleted.
                type(rows[0])._base_manager.bulk_create(rows, ignore_conflicts=True)
        guards.install(connection)

    case._fixture_teardown = teardown
    yield
    case._fixture_teardown = emptied


@pytest.fixture(scope="session")
def keys() -> Keys:
    """Throw-away keys, and their authority in the trust store."""
    hub_keys.make_missing()
    made = Keys.make()
    made.authority.save(environment.DIRECTORY / "trust", "root")
    (environment.DIRECTORY / "trust" / "root.key.pem").unlink()
    return made


@dataclass(slots=True)
class Snapshot:
    """What registering the city writes, to be written again at once: registering takes half a second."""

    rows: list[list[Model]] = field(default_factory=list)
    city: World | None = None

    def take(self, build: Callable[[], World]) -> World:
        """Build the city and remember every row that it added."""
        before = {model: set(model._base_manager.values_list("pk", flat=True)) for model in self._models()}
        self.city = build()
        for model, known in before.items():
            if added := list(model._base_manager.exclude(pk__in=known).order_by("pk")):
                self.rows.append(added)
        return copy.deepcopy(self.city)

    def restore(self) -> World:
        """Write the rows again."""
        for added in self.rows:
            type(added[0])._base_manager.bulk_create(added)
        return copy.deepcopy(self.city)  # type: ignore[return-value]

    @staticmethod
    def _models() -> list[type[Model]]:
        labels = ("agencies", "exchange")
        return [
            model for model in apps.get_models(include_auto_created=True) if model._meta.app_label in labels
        ]


@pytest.fixture
def fresh_signer(keys: Keys) -> Iterator[None]:
    """A signer that remembers no log, and only the first keys: as new as the database of the test."""

    def forget() -> None:
        directory = settings.ENVIRONMENT.keys
        for pattern in ("log.signed", "seal-*.pem", "log-*.key"):
            for path in directory.glob(pattern):
                path.unlink()

    forget()
    yield
    forget()


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    """The rows of the small city, once they were made."""
    return Snapshot()


@pytest.fixture
def hub(db: None, keys: Keys, fresh_signer: None, snapshot: Snapshot) -> World:
    """The small city, registered; everything is rolled back after the test."""
    return snapshot.restore() if snapshot.rows else snapshot.take(lambda: world.build(keys))


@pytest.fixture
def live_hub(real_commits: None, transactional_db: None, keys: Keys, fresh_signer: None) -> World:
    """The small city with real commits, for tests about locks, threads and wake-ups."""
    return world.build(keys)
