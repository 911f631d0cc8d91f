"""How PostgreSQL keeps the busy tables small: autovacuum by rows, not by a fifth of a table that grows for years.

Its default waits until 20 % of a table is dead: never, for a table of millions, and too late for one that is
emptied and filled all day. Setting these takes no lock that readers or writers would notice.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_LARGE = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"}
_EMPTIED = {"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "1000"}
# Half of each page stays free, so that a new version of a row finds room beside the old and no index is written.
_REWRITTEN = {**_EMPTIED, "autovacuum_vacuum_threshold": "200", "fillfactor": "50"}

TABLES = {
    "exchange_delivery": _LARGE,
    "exchange_feedentry": _LARGE,
    "exchange_attempt": _LARGE,
    "exchange_pending": _EMPTIED,
    "exchange_statisticsdelta": _EMPTIED,
    "django_session": _EMPTIED,
    "oauth2_provider_accesstoken": _EMPTIED,
    "exchange_allowance": _REWRITTEN,
    "exchange_circuit": _REWRITTEN,
    "exchange_fact": _REWRITTEN,
    "exchange_feedhead": _REWRITTEN,
    "exchange_log": _REWRITTEN,
}


def tune(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Set them; SQLite has nothing of the kind."""
    if schema_editor.connection.vendor == "postgresql":
        for table, wanted in TABLES.items():
            words = ", ".join(f"{name} = {value}" for name, value in wanted.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({words})")


def forget(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Back to the defaults of the server."""
    if schema_editor.connection.vendor == "postgresql":
        for table, wanted in TABLES.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(wanted)})")


class Migration(migrations.Migration):
    dependencies = [
        ("exchange", "0013_signature_evidence"),
        ("oauth2_provider", "0001_initial"),
        ("sessions", "0001_initial"),
    ]

    operations = [migrations.RunPython(tune, forget)]
