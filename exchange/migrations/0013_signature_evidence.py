"""What the verdict on a signature rested on, kept with the package; its digest is in the event of acceptance."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from exchange.models import guards


def restore(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put back the guards: SQLite made the table anew, and dropped them with the old one."""
    guards.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("exchange", "0012_anchors")]

    operations = [
        migrations.AddField(
            model_name="package",
            name="signature_evidence",
            field=models.TextField(
                blank=True, db_default="", default="", verbose_name="căn cứ kiểm tra chữ ký"
            ),
        ),
        migrations.RunPython(restore, migrations.RunPython.noop),
    ]
