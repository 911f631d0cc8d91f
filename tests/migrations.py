"""`python -m tests.migrations`, part of `make lint`: would a migration stop old code, or lock a large table?

Read from the statements that PostgreSQL would get, so it asks the PostgreSQL of the tests; without one it
says so and reads those of SQLite, which are fewer.
"""

import os
import sys

import psycopg

from tests.services import database_url

BEFORE_RELEASE = {"exchange": "0020", "agencies": "0010"}
"""Up to these numbers no migration is judged, for 0.1.0 is not out: nobody upgrades over them. Set them to
the last migrations of the first release when it is made. `--all` judges those too."""


def main() -> int:
    """The exit code: 0 when every migration lets the released code go on."""
    try:
        psycopg.connect(database_url(), connect_timeout=5).close()
    except psycopg.OperationalError:
        sys.stderr.write("!!! migrations are read as for SQLite, for want of PostgreSQL !!!\n")
    else:
        os.environ |= {
            "HUB_DATABASE_URL": database_url(),
            "HUB_SECRET_KEY": "only-for-reading-migrations" * 2,
        }
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")

    import django

    django.setup()
    from django.conf import settings
    from django_migration_linter import MigrationLinter

    limit = {"exchange": "", "agencies": ""} if "--all" in sys.argv else BEFORE_RELEASE
    linter = MigrationLinter(
        str(settings.BASE_DIR), include_apps=["exchange", "agencies"], no_cache=True, quiet=["ok", "ignore"],
    )  # fmt: skip
    for app, name in sorted(linter.migration_loader.disk_migrations):
        if name[:4] > limit.get(app, "9999"):
            linter.lint_all_migrations(app_label=app, migration_name=name)
    return int(linter.has_errors)


if __name__ == "__main__":
    sys.exit(main())
