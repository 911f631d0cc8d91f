"""Anchors of the log outside the hub, and the heads that this hub vouches for; both are evidence."""

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
        ("exchange", "0011_circuits_and_fair_claims"),
    ]

    operations = [
        migrations.RunPython(migrations.RunPython.noop, install),
        migrations.CreateModel(
            name="WitnessedLog",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("origin", models.CharField(max_length=200, unique=True, verbose_name="tên nhật ký")),
                ("size", models.PositiveBigIntegerField(default=0, verbose_name="số sự kiện")),
                ("root", models.BinaryField(max_length=32)),
                ("note", models.TextField(blank=True, verbose_name="nội dung ký")),
                ("at", models.DateTimeField(verbose_name="xác nhận lúc")),
            ],
            options={
                "verbose_name": "nhật ký được xác nhận",
                "verbose_name_plural": "nhật ký được xác nhận",
                "ordering": ["origin"],
            },
        ),
        migrations.CreateModel(
            name="Anchor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("time-stamp", "Dấu thời gian (RFC 3161)"),
                            ("witness", "Nhân chứng (C2SP)"),
                        ],
                        max_length=10,
                        verbose_name="loại",
                    ),
                ),
                ("by", models.CharField(max_length=300, verbose_name="bên xác nhận")),
                ("at", models.DateTimeField(verbose_name="theo giờ của bên xác nhận")),
                ("value", models.BinaryField()),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="anchors",
                        to="exchange.checkpoint",
                        verbose_name="checkpoint",
                    ),
                ),
            ],
            options={
                "verbose_name": "neo nhật ký",
                "verbose_name_plural": "neo nhật ký",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=("checkpoint", "kind", "by"), name="anchor_once")
                ],
            },
        ),
        migrations.RunPython(install, remove),
    ]
