"""The database's own rules: no state without its event, no change of what is evidence."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from exchange.models import guards


def install(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put the guards up."""
    guards.install(schema_editor.connection)


def remove(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Take the guards down."""
    guards.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("exchange", "0001_initial")]
    operations = [migrations.RunPython(install, remove)]
