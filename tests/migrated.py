"""A database to which every migration was applied, made once in a run: the other empty ones are copies."""

import atexit
import fcntl
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import psycopg

from tests import environment, services

ROOT = Path(__file__).parent.parent
DIRECTORY = environment.RUN / "migrated"
NAME = f"{environment.RUN.name}-migrated"


def run(environ: dict[str, str], *words: str) -> str:
    """Run Python with `words` in the environment of a hub; what it printed."""
    done = subprocess.run(
        (sys.executable, *words), cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def create(name: str, template: str) -> None:
    """Make the database `name` on PostgreSQL as a copy of `template`, which nobody may use meanwhile."""
    with psycopg.connect(services.database_url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def drop(name: str) -> None:
    """Take the database `name` away from PostgreSQL."""
    with psycopg.connect(services.database_url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@cache
def database() -> str:
    """The migrated database: its file on SQLite, its name on PostgreSQL. Whoever asks first makes it."""
    environ = os.environ | {"HUB_DATA_DIR": str(DIRECTORY)}
    if environment.PRODUCTION:
        environ["HUB_DATABASE_URL"] = f"{services.database_url().rpartition('/')[0]}/{NAME}"
    done = environment.RUN / "migrated.done"  # not there when it failed: the next one fails as plainly
    with (environment.RUN / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            DIRECTORY.mkdir()
            if environment.PRODUCTION:
                create(NAME, "template1")
            run(environ, "manage.py", "migrate", "--verbosity", "0", "--skip-checks")
            done.touch()
    return NAME if environment.PRODUCTION else str(DIRECTORY / "hub.sqlite3")


if environment.PRODUCTION and environment.RUN == environment.DIRECTORY:
    atexit.register(drop, NAME)  # by the process that outlives the others
