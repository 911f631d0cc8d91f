"""The holidays of the working-day calendar."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

# Only what is certain: days that the law fixes, and those of the Government's published plans. Other years'
# Tết, the second day of the National Day and swapped days come by `manage.py add_holidays`.
HOLIDAYS = {
    "Tết Dương lịch": ["2025-01-01", "2026-01-01", "2027-01-01"],
    "Tết Nguyên đán": [
        *("2025-01-27", "2025-01-28", "2025-01-29", "2025-01-30", "2025-01-31"),
        *("2026-02-16", "2026-02-17", "2026-02-18", "2026-02-19", "2026-02-20"),
    ],
    "Giỗ Tổ Hùng Vương": ["2025-04-07", "2026-04-26", "2027-04-16"],
    "Nghỉ bù Giỗ Tổ Hùng Vương": ["2026-04-27"],
    "Ngày Chiến thắng": ["2025-04-30", "2026-04-30", "2027-04-30"],
    "Ngày Quốc tế Lao động": ["2025-05-01", "2026-05-01", "2027-05-01"],
    "Nghỉ hoán đổi": ["2025-05-02"],
    "Nghỉ bù Ngày Quốc tế Lao động": ["2027-05-03"],
    "Quốc khánh": ["2025-09-01", "2025-09-02", "2026-09-01", "2026-09-02", "2027-09-02"],
}
WORKED = {"Làm bù": ["2025-04-26"]}


def seed(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Fill in the years 2025 to 2027."""
    holidays = apps.get_model("exchange", "Holiday").objects.using(schema_editor.connection.alias)
    for table, working in ((HOLIDAYS, False), (WORKED, True)):
        for name, days in table.items():
            for day in days:
                holidays.get_or_create(day=day, defaults={"name": name, "working": working})


class Migration(migrations.Migration):
    dependencies = [("exchange", "0003_roles")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
