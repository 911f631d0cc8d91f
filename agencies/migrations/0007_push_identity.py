from django.db import migrations

import agencies.models


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
    ]
