"""A stamp on the registry, which every change of its rows replaces, whoever makes it: by triggers.

A stamp is random, never a number: one that a rollback took back must not come again with other rows under
it. SQLite drops a table's triggers when Django rebuilds the table, so a migration that alters one of these
tables ends with `install` again (a test looks).
"""

from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

NAMES = REGISTRY, REVOCATION = "registry", "revocation"
# Table: its stamp, and the columns whose change is none (they say when somebody called).
TABLES: dict[str, tuple[str, frozenset[str]]] = {
    "agencies_agency": (REGISTRY, frozenset()),
    "agencies_alias": (REGISTRY, frozenset()),
    "agencies_certificate": (REGISTRY, frozenset()),
    "agencies_credential": (REGISTRY, frozenset({"last_used_at"})),
    "agencies_system": (REGISTRY, frozenset({"last_seen_at"})),
    "agencies_system_sends_for": (REGISTRY, frozenset()),
    "agencies_revocationanswer": (REVOCATION, frozenset()),
    "agencies_revocationlist": (REVOCATION, frozenset()),
}
_EVENTS = ("insert", "update", "delete")
_REPLACE = (
    "INSERT INTO agencies_stamp (name, value) VALUES ('{stamp}', {random}) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def install(connection: BaseDatabaseWrapper) -> None:
    """Create every trigger anew; safe to run again."""
    remove(connection)
    make = _postgresql if connection.vendor == "postgresql" else _sqlite
    with connection.cursor() as cursor:
        for table, (stamp, silent) in TABLES.items():
            columns = connection.introspection.get_table_description(cursor, table)
            told = ", ".join(f'"{column.name}"' for column in columns if column.name not in silent)
            for statement in make(table, stamp, told):
                cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take them away."""
    on = " ON {table}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for table, name in _triggers():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on.format(table=table)}")


def names() -> set[str]:
    """The names of all triggers, for the test that looks whether they are there."""
    return {name for _, name in _triggers()}


def _triggers() -> Iterator[tuple[str, str]]:
    return ((table, _name(table, event)) for table in TABLES for event in _EVENTS)


def _name(table: str, event: str) -> str:
    return f"{table}_stamp_{event}"


def _postgresql(table: str, stamp: str, told: str) -> Iterator[str]:
    replace = _REPLACE.format(stamp=stamp, random="gen_random_uuid()::text")
    yield f"""CREATE OR REPLACE FUNCTION agencies_{stamp}_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN {replace}; RETURN NULL; END $$"""
    for event in _EVENTS:
        when = {"update": f"UPDATE OF {told}", "delete": "DELETE OR TRUNCATE"}.get(event, event)
        yield (
            f"CREATE TRIGGER {_name(table, event)} AFTER {when} ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION agencies_{stamp}_changed()"
        )


def _sqlite(table: str, stamp: str, told: str) -> Iterator[str]:
    replace = _REPLACE.format(stamp=stamp, random="lower(hex(randomblob(16)))")
    for event in _EVENTS:
        when = f"UPDATE OF {told}" if event == "update" else event
        yield f"CREATE TRIGGER {_name(table, event)} AFTER {when} ON {table} BEGIN {replace}; END"
