"""What people may ask a stage to do on the pages, besides looking; and which role may."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

RESEND = ("exchange", "delivery", "resend_delivery", "Can send failed deliveries again")
WITHDRAW = ("exchange", "package", "withdraw_package", "Can withdraw documents of the own agencies")
REMIND = ("exchange", "delivery", "remind_delivery", "Can remind recipients that are late")
PAUSE = ("agencies", "system", "pause_system", "Can pause, resume and test a system")
ROTATE = ("agencies", "credential", "rotate_credential", "Can give a system new credentials")
REVOKE = ("agencies", "certificate", "revoke_certificate", "Can revoke certificates")

ROLES = {
    "clerk": [RESEND, WITHDRAW, REMIND],
    "operator": [RESEND, PAUSE],
    "registrar": [ROTATE, REVOKE],
}


def grant(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Add the permissions to the groups; their rows are made here, as in 0003."""
    alias = schema_editor.connection.alias
    for name, granted in ROLES.items():
        group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=name)
        for app, model, codename, words in granted:
            kind, _ = (
                apps.get_model("contenttypes", "ContentType")
                .objects.using(alias)
                .get_or_create(app_label=app, model=model)
            )
            permission, _ = (
                apps.get_model("auth", "Permission")
                .objects.using(alias)
                .get_or_create(content_type=kind, codename=codename, defaults={"name": words})
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("exchange", "0009_search_text"), ("exchange", "0003_roles")]
    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
