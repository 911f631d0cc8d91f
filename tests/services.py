"""The servers that the full test uses: where they are, and one loud line for what is missing.

`python -m tests.services` exits 0 when PostgreSQL and RabbitMQ can be reached, else 1. With
HUB_TEST_REQUIRE_ALL=1 (set by .ci/run) the Makefile treats that as a failure.
"""

import os
import shutil
import sys

import psycopg
from kombu import Connection
from kombu.exceptions import OperationalError

TOOLS = (
    "xmlsec1",
    "openssl",
    "go",
    "pdftotext",
    "chromium",
    "promtool",
    "nginx",
    "gpg",
    "systemd-analyze",
    "pg_dump",
    "node",
    "npm",
    "softhsm2-util",
)

_BROKER = os.environ.get("HUB_TEST_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//")


def database_url() -> str:
    """PostgreSQL for tests: HUB_TEST_DATABASE_URL, else the usual local port."""
    return os.environ.get("HUB_TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


def broker_url() -> str:
    """RabbitMQ for tests: HUB_TEST_BROKER_URL, else the usual local port.

    `{worker}` in it becomes the name of this process of pytest, so that each can have a virtual host.
    """
    return _BROKER.replace("{worker}", os.environ.get("PYTEST_XDIST_WORKER", "gw0"))


def broker_is_shared() -> bool:
    """Whether the processes of pytest take messages from the same queues."""
    return "{worker}" not in _BROKER


def missing() -> list[str]:
    """What cannot be reached or is not installed, in words."""
    found = [tool for tool in TOOLS if shutil.which(tool) is None]
    try:
        psycopg.connect(database_url(), connect_timeout=5).close()
    except psycopg.OperationalError as error:
        found.append(f"PostgreSQL ({str(error).splitlines()[0]})")
    try:
        with Connection(broker_url(), connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except (OperationalError, OSError) as error:
        found.append(f"RabbitMQ ({error})")
    return found


if __name__ == "__main__":
    absent = missing()
    if absent:
        sys.stderr.write(f"!!! NOT TESTED for want of: {', '.join(absent)} !!!\n")
    sys.exit(1 if absent else 0)
