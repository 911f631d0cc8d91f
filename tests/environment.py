"""The settings of a test run, made before Django reads them (loaded by `-p tests.environment`).

`HUB_TEST_ENGINE=production` runs the same tests on PostgreSQL and RabbitMQ; the default is the embedded
pair. Everything lies in a directory of its own that goes with the process; what the processes of one run
share lies in that of the first, which starts the others.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

PRODUCTION = os.environ.get("HUB_TEST_ENGINE") == "production"
DIRECTORY = Path(tempfile.mkdtemp(prefix="hub-test-"))
atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)

RUN = Path(os.environ.setdefault("HUB_TEST_RUN", str(DIRECTORY)))

for name in [name for name in os.environ if name.startswith("HUB_") and not name.startswith("HUB_TEST_")]:
    del os.environ[name]
(DIRECTORY / "trust").mkdir()
os.environ |= {
    "HUB_DATA_DIR": str(DIRECTORY),
    "HUB_TRUST_DIR": str(DIRECTORY / "trust"),
    "HUB_SECRET_KEY": "only-for-tests-and-never-anywhere-else-0123456789",
    "HUB_CODE": "hub.test",
    "HUB_PUSH_NETWORKS": "127.0.0.0/8",
    "HUB_REQUESTS_PER_MINUTE": "0",  # tests/security counts; others count queries
    "HUB_PUSH_SECONDS": "5",
}
if PRODUCTION:
    from tests.services import broker_url, database_url

    # Two runs at once must not share a test database.
    os.environ["HUB_DATABASE_URL"] = f"{database_url().rpartition('/')[0]}/hub_{os.getpid()}"
    os.environ["HUB_BROKER_URL"] = broker_url()
