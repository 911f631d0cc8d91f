"""One folded text per package to search in, and indexes of what the pages count and list."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from agencies.search import fold_text
from exchange.models import guards

BATCH = 1000
FAILED = models.Q(state__in=["expired", "undeliverable"])
ENDED = models.Q(state__in=["withdrawn", "superseded"])
UNACCEPTED = models.Q(
    state__in=["queued", "handed_over"], answer__in=["none", "01"], receipt_due_at__isnull=False
)


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give every package its text, as `Package.searched` makes it."""
    packages = apps.get_model("exchange", "Package").objects.using(schema_editor.connection.alias)
    rows = packages.select_related("sender").prefetch_related("deliveries__recipient").order_by("id")
    some = []
    for row in rows.iterator(chunk_size=BATCH):
        parties = [row.sender, *(item.recipient for item in row.deliveries.order_by("id"))]
        words = [word for agency in parties for word in (agency.code, agency.name)]
        code = "/".join(part for part in (row.number, row.notation) if part)
        row.search_text = fold_text(" ".join((code, row.document_id, row.subject, row.type_name, *words)))
        some.append(row)
        if len(some) == BATCH:
            packages.bulk_update(some, ["search_text"])
            some.clear()
    packages.bulk_update(some, ["search_text"])


def index(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The trigram index of PostgreSQL; SQLite reads the column. And the guards, which SQLite has dropped."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        schema_editor.execute(
            "CREATE INDEX package_search ON exchange_package USING gin (search_text gin_trgm_ops)"
        )
    guards.install(schema_editor.connection)


def unindex(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop the index; other databases on the server may use the extension."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS package_search")


class Migration(migrations.Migration):
    dependencies = [("agencies", "0001_initial"), ("exchange", "0008_exports")]
    operations = [
        migrations.AddField(
            model_name="package",
            name="search_text",
            field=models.TextField(blank=True, default="", editable=False),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(condition=FAILED, fields=["package"], name="delivery_failed"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(condition=models.Q(answer="02"), fields=["package"], name="delivery_refused"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(condition=ENDED, fields=["package"], name="delivery_ended"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=UNACCEPTED, fields=["receipt_due_at", "package"], name="delivery_unaccepted"
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunPython(index, unindex),
    ]
