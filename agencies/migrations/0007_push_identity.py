"""The key and certificates that the hub shows to a system when it pushes."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

import agencies.models
from agencies import stamps


def restore(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put back the triggers: SQLite made the table anew, and dropped them with the old one."""
    stamps.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("agencies", "0006_broken_pdf")]

    operations = [
        migrations.AddField(
            model_name="system",
            name="push_identity",
            field=agencies.models.BytesField(
                blank=True, default=b"", verbose_name="khóa và chứng thư khi đẩy (đã mã hóa)"
            ),
        ),
        migrations.RunPython(restore, migrations.RunPython.noop),
    ]
