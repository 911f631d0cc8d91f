"""Deliveries that wait for the report on PDF signatures, whose recipients refuse broken ones."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from exchange.models import guards


def restore(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put back the guards: SQLite made the table anew, and dropped them with the old one."""
    guards.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("exchange", "0016_covering_indexes")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="held",
            field=models.BooleanField(db_default=False, default=False, verbose_name="chờ báo cáo chữ ký PDF"),
        ),
        migrations.RunPython(restore, migrations.RunPython.noop),
    ]
