from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agencies", "0002_origins_and_limits")]

    operations = [
        migrations.AddField(
            model_name="system",
            name="prefixes",
            field=models.CharField(
                blank=True, default="", max_length=1000, verbose_name="phần đầu mã được chuyển lên"
            ),
        ),
    ]
