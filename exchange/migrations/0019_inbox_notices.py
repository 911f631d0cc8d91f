"""Systems that pull and want it are told that something is in their inbox."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agencies", "0007_push_identity"),
        ("exchange", "0018_saved_filters"),
    ]

    operations = [
        migrations.CreateModel(
            name="InboxNotice",
            fields=[
                (
                    "system",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="inbox_notice",
                        serialize=False,
                        to="agencies.system",
                        verbose_name="hệ thống kết nối",
                    ),
                ),
                ("wanted_at", models.DateTimeField(null=True, verbose_name="có văn bản mới từ")),
                ("due_at", models.DateTimeField(verbose_name="báo lúc")),
                ("told_at", models.DateTimeField(null=True, verbose_name="báo được gần nhất lúc")),
                ("failures", models.PositiveIntegerField(default=0, verbose_name="số lần báo không được")),
            ],
            options={
                "verbose_name": "thông báo hộp thư",
                "verbose_name_plural": "thông báo hộp thư",
                "default_permissions": (),
            },
        ),
    ]
