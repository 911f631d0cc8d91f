"""A word that every change of the registry replaces, so that a process may remember what it has read."""

from uuid import uuid4

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from agencies import stamps


def install(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put the triggers up, and a first stamp on what is there."""
    stamps.install(schema_editor.connection)
    made = [apps.get_model("agencies", "Stamp")(name=name, value=uuid4().hex) for name in stamps.NAMES]
    apps.get_model("agencies", "Stamp").objects.bulk_create(made)


def remove(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Take the triggers down."""
    stamps.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("agencies", "0004_revocation_answers")]
    operations = [
        migrations.CreateModel(
            name="Stamp",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("value", models.CharField(max_length=36)),
            ],
            options={"verbose_name": "stamp"},
        ),
        migrations.RunPython(install, remove),
    ]
