"""Whether an agency refuses documents with broken PDF signatures."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from agencies import stamps


def restore(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put back the triggers: SQLite made the table anew, and dropped them with the old one."""
    stamps.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("agencies", "0005_stamps"),
    ]

    operations = [
        migrations.AddField(
            model_name="agency",
            name="refuses_broken_pdf",
            field=models.BooleanField(
                db_default=False, default=False, verbose_name="từ chối văn bản có chữ ký PDF bị hỏng"
            ),
        ),
        migrations.RunPython(restore, migrations.RunPython.noop),
    ]
