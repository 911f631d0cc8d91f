"""The roles: clerk, auditor, operator, registrar. What each may open; whose records, says admin/scope.py."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

READ_ALL = ("exchange", "package", "read_all", "Can read the records of all agencies")
WATCH = ("exchange", "delivery", "watch_deliveries", "Can see that all deliveries move, not what they carry")


def view(app: str, *models: str) -> list[tuple[str, str, str, str]]:
    """The permissions to view `models`; the names are those that Django itself would give."""
    return [(app, model, f"view_{model}", f"Can view {model}") for model in models]


ROLES = {
    "clerk": view("exchange", "package", "delivery", "attempt", "event"),
    "auditor": [
        READ_ALL,
        *view("exchange", "package", "delivery", "attempt", "event"),
        *view("agencies", "agency", "alias", "system", "certificate"),
    ],
    "operator": [
        WATCH,
        *view("exchange", "delivery", "attempt"),
        *view("agencies", "system", "credential"),
    ],
    "registrar": view(
        "agencies",
        "agency",
        "alias",
        "system",
        "credential",
        "certificate",
        "membership",
    ),
}


def create(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the groups. Django makes its permissions after all migrations, so the rows are made here."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    permissions = apps.get_model("auth", "Permission").objects.using(schema_editor.connection.alias)
    types = apps.get_model("contenttypes", "ContentType").objects.using(schema_editor.connection.alias)
    for name, granted in ROLES.items():
        group, _ = groups.get_or_create(name=name)
        for app, model, codename, words in granted:
            kind, _ = types.get_or_create(app_label=app, model=model)
            permission, _ = permissions.get_or_create(
                content_type=kind, codename=codename, defaults={"name": words}
            )
            group.permissions.add(permission)


def remove(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Take the groups away; permissions without a group do nothing."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    groups.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("exchange", "0002_guards"),
        ("agencies", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(create, remove)]
