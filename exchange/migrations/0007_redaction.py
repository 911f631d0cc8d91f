"""What was removed of the evidence, and the orders to do so; the guards let go only what a Redaction names."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from exchange.models import guards


def install(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The guards anew: those of the tables that are there."""
    guards.install(schema_editor.connection)


def remove(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """No guard may name a table that is about to go."""
    guards.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("exchange", "0006_facts"),
    ]

    operations = [
        migrations.RunPython(migrations.RunPython.noop, install),
        migrations.CreateModel(
            name="Redacted",
            fields=[
                (
                    "entry",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="redacted",
                        serialize=False,
                        to="exchange.logentry",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="exchange.event"
                    ),
                ),
            ],
            options={
                "verbose_name": "nội dung đã xóa",
                "verbose_name_plural": "nội dung đã xóa",
            },
        ),
        migrations.CreateModel(
            name="RedactionOrder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content", models.BooleanField(default=False, verbose_name="xóa cả bản gốc của gói tin")),
                ("reason", models.TextField(verbose_name="căn cứ, lý do")),
                ("entered_by", models.CharField(max_length=150, verbose_name="người lập")),
                ("entered_at", models.DateTimeField(verbose_name="lập lúc")),
                ("decided_by", models.CharField(blank=True, max_length=150, verbose_name="người quyết định")),
                ("decided_at", models.DateTimeField(blank=True, null=True, verbose_name="quyết định lúc")),
                ("carried_out", models.BooleanField(default=False, verbose_name="đã thực hiện")),
                (
                    "package",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="exchange.package",
                        verbose_name="gói tin",
                    ),
                ),
            ],
            options={
                "verbose_name": "lệnh xóa nội dung",
                "verbose_name_plural": "lệnh xóa nội dung",
                "ordering": ["-id"],
                "permissions": [
                    ("order_redaction", "Can order the removal of evidence, and confirm another's order")
                ],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("carried_out", False), ("decided_at", None), ("decided_by", "")),
                            models.Q(
                                ("decided_at__isnull", False), models.Q(("decided_by", ""), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="redactionorder_decided_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("carried_out", False),
                            models.Q(("decided_by", models.F("entered_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="redactionorder_two_persons",
                    ),
                ],
            },
        ),
        migrations.RunPython(install, remove),
    ]
