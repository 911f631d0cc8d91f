"""Exports and their schedules, codes of printed proofs, digests of attached files; who may export."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

import exchange.models.ids
from exchange.models import guards

ROLES = ("clerk", "auditor")
PERMISSIONS = ("view_export", "view_exportschedule")


def grant(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Clerks and auditors export. Django makes its permissions after all migrations, so they are made here."""
    alias = schema_editor.connection.alias
    types = apps.get_model("contenttypes", "ContentType").objects.using(alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for group in apps.get_model("auth", "Group").objects.using(alias).filter(name__in=ROLES):
        for codename in PERMISSIONS:
            model = codename.removeprefix("view_")
            kind, _ = types.get_or_create(app_label="exchange", model=model)
            permission, _ = permissions.get_or_create(
                content_type=kind, codename=codename, defaults={"name": f"Can view {model}"}
            )
            group.permissions.add(permission)


def guard(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The package table was changed: SQLite dropped its triggers."""
    guards.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("agencies", "0001_initial"),
        ("exchange", "0007_redaction"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="package",
            name="copies",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="số lượng bản"),
        ),
        migrations.AddField(
            model_name="package",
            name="signed_by",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=200, verbose_name="người ký"
            ),
        ),
        migrations.CreateModel(
            name="ExportSchedule",
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
                            ("trail", "Sự kiện"),
                            ("deliveries", "Lượt gửi"),
                            ("register-out", "Sổ đăng ký văn bản đi"),
                            ("register-in", "Sổ đăng ký văn bản đến"),
                        ],
                        max_length=12,
                        verbose_name="nội dung",
                    ),
                ),
                (
                    "format",
                    models.CharField(
                        choices=[
                            ("jsonl", "JSON Lines kèm bằng chứng (.zip)"),
                            ("csv", "CSV"),
                            ("xlsx", "Excel (.xlsx)"),
                            ("pdf", "PDF"),
                        ],
                        max_length=5,
                        verbose_name="định dạng",
                    ),
                ),
                ("query", models.TextField(blank=True, verbose_name="bộ lọc")),
                (
                    "every",
                    models.CharField(
                        choices=[("day", "Hằng ngày"), ("week", "Hằng tuần"), ("month", "Hằng tháng")],
                        max_length=5,
                        verbose_name="chu kỳ",
                    ),
                ),
                ("by_mail", models.BooleanField(default=False, verbose_name="gửi qua thư điện tử")),
                ("next_at", models.DateTimeField(verbose_name="lần lập tới")),
                ("created_at", models.DateTimeField(verbose_name="tạo lúc")),
                (
                    "system",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agencies.system",
                        verbose_name="hệ thống",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người lập",
                    ),
                ),
            ],
            options={
                "verbose_name": "lịch xuất",
                "verbose_name_plural": "lịch xuất",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Export",
            fields=[
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("trail", "Sự kiện"),
                            ("deliveries", "Lượt gửi"),
                            ("register-out", "Sổ đăng ký văn bản đi"),
                            ("register-in", "Sổ đăng ký văn bản đến"),
                        ],
                        max_length=12,
                        verbose_name="nội dung",
                    ),
                ),
                (
                    "format",
                    models.CharField(
                        choices=[
                            ("jsonl", "JSON Lines kèm bằng chứng (.zip)"),
                            ("csv", "CSV"),
                            ("xlsx", "Excel (.xlsx)"),
                            ("pdf", "PDF"),
                        ],
                        max_length=5,
                        verbose_name="định dạng",
                    ),
                ),
                ("query", models.TextField(blank=True, verbose_name="bộ lọc")),
                (
                    "id",
                    models.UUIDField(
                        default=exchange.models.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("insist", models.BooleanField(default=False, editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Đang chờ"),
                            ("running", "Đang lập"),
                            ("done", "Đã xong"),
                            ("failed", "Không lập được"),
                            ("cancelled", "Đã hủy"),
                        ],
                        default="waiting",
                        max_length=9,
                        verbose_name="trạng thái",
                    ),
                ),
                ("problem", models.CharField(blank=True, max_length=40, verbose_name="lý do")),
                ("done", models.PositiveBigIntegerField(default=0, verbose_name="số dòng đã lập")),
                ("total", models.PositiveBigIntegerField(blank=True, null=True, verbose_name="tổng số dòng")),
                ("sha256", models.CharField(blank=True, max_length=64, verbose_name="SHA-256")),
                ("size", models.BigIntegerField(blank=True, null=True, verbose_name="dung lượng (byte)")),
                ("tries", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("created_at", models.DateTimeField(verbose_name="yêu cầu lúc")),
                ("finished_at", models.DateTimeField(blank=True, null=True, verbose_name="xong lúc")),
                ("due_at", models.DateTimeField(editable=False)),
                ("expires_at", models.DateTimeField(verbose_name="giữ đến")),
                (
                    "system",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agencies.system",
                        verbose_name="hệ thống",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người lập",
                    ),
                ),
                (
                    "schedule",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="exports",
                        to="exchange.exportschedule",
                        verbose_name="lịch",
                    ),
                ),
            ],
            options={
                "verbose_name": "bản xuất",
                "verbose_name_plural": "bản xuất",
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="ProofCode",
            fields=[
                ("code", models.CharField(max_length=26, primary_key=True, serialize=False)),
                ("made_at", models.DateTimeField()),
                (
                    "package",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="exchange.package",
                    ),
                ),
                (
                    "recipient",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agencies.agency",
                    ),
                ),
            ],
            options={
                "verbose_name": "mã kiểm tra",
                "verbose_name_plural": "mã kiểm tra",
            },
        ),
        migrations.CreateModel(
            name="AttachedFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.BinaryField(max_length=32, verbose_name="SHA-256")),
                (
                    "package",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="exchange.package",
                    ),
                ),
            ],
            options={
                "verbose_name": "tệp đính kèm",
                "verbose_name_plural": "tệp đính kèm",
                "indexes": [models.Index(fields=["sha256"], name="attachedfile_by_digest")],
            },
        ),
        migrations.AddIndex(
            model_name="exportschedule",
            index=models.Index(fields=["next_at"], name="exportschedule_next"),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(
                condition=models.Q(("state__in", ["waiting", "running"])),
                fields=["due_at"],
                name="export_due",
            ),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(fields=["user", "-created_at"], name="export_of_user"),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(fields=["expires_at"], name="export_expiry"),
        ),
        migrations.AddConstraint(
            model_name="export",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("system__isnull", True), ("user__isnull", False)),
                    models.Q(("system__isnull", False), ("user__isnull", True)),
                    _connector="OR",
                ),
                name="export_for_one",
            ),
        ),
        migrations.AddConstraint(
            model_name="export",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "done"), _negated=True),
                    models.Q(
                        models.Q(("sha256", ""), _negated=True),
                        ("size__isnull", False),
                        ("total", models.F("done")),
                    ),
                    _connector="OR",
                ),
                name="export_done_has_file",
            ),
        ),
        migrations.AddConstraint(
            model_name="proofcode",
            constraint=models.UniqueConstraint(
                condition=models.Q(("recipient__isnull", True)),
                fields=("package",),
                name="proofcode_of_sender",
            ),
        ),
        migrations.AddConstraint(
            model_name="proofcode",
            constraint=models.UniqueConstraint(
                condition=models.Q(("recipient__isnull", False)),
                fields=("package", "recipient"),
                name="proofcode_of_recipient",
            ),
        ),
        migrations.RunPython(guard, migrations.RunPython.noop),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
