"""`python -m tests.compatible REF` (`make compatible FROM=REF`): does the code of REF run on today's schema?

Between the migration and the restart of an upgrade it has to. The API tests of REF, with its own code, run on
a PostgreSQL database that the present migrations have made.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.services import broker_url, database_url

ROOT = Path(__file__).parent.parent
_TESTS = ("tests/api/test_packages.py", "tests/api/test_deliveries.py", "tests/api/test_tokens.py")
# The old tests name their database after their process, which `exec` keeps.
_RUN = """
set -e
HUB_DATABASE_URL="$BASE/test_hub_$$" "$PYTHON" -m tests.compatible --prepare
cd "$OLD"
exec "$PYTHON" -m pytest --reuse-db -p no:cacheprovider {tests}
"""


def main() -> int:
    """The exit code of the old tests."""
    if sys.argv[1] == "--prepare":
        return _prepare(os.environ["HUB_DATABASE_URL"])
    with tempfile.TemporaryDirectory() as old:
        pack = subprocess.run(("git", "archive", sys.argv[1]), cwd=ROOT, capture_output=True, check=True)
        subprocess.run(("tar", "-x", "-C", old), input=pack.stdout, check=True)
        environ = os.environ | {
            "BASE": database_url().rpartition("/")[0],
            "HUB_SECRET_KEY": "only-for-tests-and-never-anywhere-else-0123456789",
            "HUB_TEST_BROKER_URL": broker_url(),
            "HUB_TEST_ENGINE": "production",
            "OLD": old,
            "PYTHON": sys.executable,
        }
        run = subprocess.Popen(("bash", "-c", _RUN.format(tests=" ".join(_TESTS))), cwd=ROOT, env=environ)
        code = run.wait()
        _drop(f"test_hub_{run.pid}")
    return code


def _prepare(url: str) -> int:
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return subprocess.run(
        (sys.executable, "manage.py", "migrate", "-v", "0"), cwd=ROOT, check=False
    ).returncode


def _drop(name: str) -> None:
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


if __name__ == "__main__":
    sys.exit(main())
