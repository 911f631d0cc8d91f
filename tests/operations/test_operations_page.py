"""The commands of docs/operations.md, run one after the other on a scratch directory in place of `/`.

Real are PostgreSQL, the shell, the files, the hub's commands and its web process as the unit starts it.
Stand-ins take the place of what would change this machine: packages, accounts, owners, the broker's accounts,
systemd.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from exchange import siem
from tests import services
from tests.live import ROOT, free_port
from tests.world import Keys

pytestmark = pytest.mark.once

PAGE = ROOT / "docs" / "operations.md"
_BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?```sh\n(.*?)```", re.DOTALL)
ROOTED = ("/opt/hub", "/etc/hub", "/etc/systemd", "/etc/nginx", "/var/lib/hub", "/var/backups/hub")
DO_NOTHING = ("apt-get", "useradd", "chown", "rabbitmqctl")


def blocks(*, run: bool) -> list[str]:
    """The commands that are run, or those that are marked as not."""
    return [text for mark, text in _BLOCK.findall(PAGE.read_text()) if bool(mark) is not run]


def test_every_command_is_a_command_of_the_shell() -> None:
    for text in blocks(run=True) + blocks(run=False):
        subprocess.run(("bash", "-n"), input=text, text=True, check=True)


def test_every_command_of_the_hub_exists() -> None:
    text = "\n".join(blocks(run=True) + blocks(run=False))
    named = set(re.findall(r"^hub ([a-z_]+)", text, re.MULTILINE))
    assert {"setup_hub", "doctor", "backup", "restore"} <= named
    there = {path.stem for path in (ROOT / "exchange" / "management" / "commands").glob("*.py")}
    assert named - {"check"} <= there


def test_the_table_of_the_security_stream_is_the_list_of_the_code() -> None:
    rows = [f"| `{name}` | {text} |" for name, text in siem.NAMES.items()]
    assert "\n".join(rows) in PAGE.read_text()


@pytest.fixture
def database() -> Iterator[str]:
    """The name of a database and of its owner that the page makes; gone afterwards."""
    name = f"ops_{uuid4().hex[:10]}"
    yield name
    with psycopg.connect(services.database_url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'DROP ROLE IF EXISTS "{name}"')


@pytest.fixture
def server(tmp_path: Path, keys: Keys) -> Path:
    """An empty machine: the archive, an authority's certificate, and the stand-ins."""
    for folder in ("bin", "authorities", "etc/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("sites-available", "sites-enabled"):
        (tmp_path / "etc/nginx" / folder).mkdir(parents=True)
    keys.authority.save(tmp_path / "authorities", "root")
    (tmp_path / "authorities" / "root.key.pem").unlink()
    files = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=True).stdout
    pack = ("tar", "--null", "-T", "-", "-cf", str(tmp_path / "hub.tar"))
    subprocess.run(pack, cwd=ROOT, input=files, check=True)
    for name in DO_NOTHING:
        _program(tmp_path, name, f'echo "{name} $*" >> "{tmp_path}/done"')
    _program(tmp_path, "runuser", 'shift 3; exec "$@"')
    _program(tmp_path, "systemctl", _SYSTEMCTL.format(root=tmp_path))
    return tmp_path


_SYSTEMCTL = """
echo "systemctl $*" >> "{root}/done"
[ "$1" = enable ] || exit 0
set -a; . "{root}/etc/hub/hub.env"; set +a
cd "{root}/opt/hub"
command=$(sed -n 's#^ExecStart=#{root}#p' "{root}/etc/systemd/system/hub-web.service")
exec setsid $command > "{root}/web.log" 2>&1 < /dev/null &
echo $! > "{root}/web.pid"
"""


def _program(server: Path, name: str, body: str) -> None:
    path = server / "bin" / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def _here(server: Path, text: str, database: str, port: int) -> str:
    """The page's commands for this machine: its directories, database, ports."""
    for path in ROOTED:
        text = text.replace(path, f"{server}{path}")
    text = text.replace("hub.tar ", f"{server}/hub.tar ").replace(
        "cp authorities/", f"cp {server}/authorities/"
    )
    text = text.replace("CREATE ROLE hub ", f"CREATE ROLE {database} ")
    text = text.replace("CREATE DATABASE hub OWNER hub", f"CREATE DATABASE {database} OWNER {database}")
    place = urlsplit(services.database_url()).netloc.rpartition("@")[2]
    changes = [
        f"s#/etc/hub#{server}/etc/hub#",
        f"s#/var/lib/hub#{server}/var/lib/hub#",
        f"s#postgresql://hub:\\(.*\\)@.*#postgresql://{database}:\\1@{place}/{database}#",
        f"s#amqp://.*#{services.broker_url()}#",
        f"$aHUB_PORT={port}",
        f"s/9464/{free_port()}/",
    ]
    own = " ".join(f"-e '{change}'" for change in changes)
    return text.replace('sed "s/change-me/$password/"', f'sed -e "s/change-me/$password/" {own}')


def test_the_page_leads_from_an_empty_machine_to_a_hub_that_answers(server: Path, database: str) -> None:
    port, archive = free_port(), f"-C {server}/opt/hub\n"
    commands = "\n".join(_here(server, text, database, port) for text in blocks(run=True))
    link = f"ln -s {shlex.quote(str(ROOT / '.venv'))} {server}/opt/hub/.venv\n"
    commands = commands.replace(archive, archive + link, 1)
    try:
        done = subprocess.run(
            ("bash", "-eu", "-o", "pipefail"), input=commands, cwd=server, env=_environ(server), text=True,
            capture_output=True, check=False, timeout=300,
        )  # fmt: skip
    finally:
        _stop(server)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    said = done.stdout
    assert re.search(r"registrar: registrar \S{20}", said)
    assert "sẵn sàng / ready" in said
    assert "✓ database" in said
    assert "worker.silent" in said, "only the web process was started"
    assert "maintenance\nnormal\n" in said
    assert list((server / "var/backups/hub").glob("2*/manifest.json"))
    assert "systemctl enable --now hub.target" in (server / "done").read_text()
    assert (server / "etc/systemd/system/hub-.service.d/common.conf").exists()


def _environ(server: Path) -> dict[str, str]:
    """This shell's, with the stand-ins first and psql as the administrator of the tests' PostgreSQL."""
    url = urlsplit(services.database_url())
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "PG"))}
    named = {"PGHOST": url.hostname, "PGPORT": str(url.port or 5432), "PGUSER": url.username}
    named |= {"PGPASSWORD": url.password, "PATH": f"{server}/bin:{own['PATH']}"}
    return own | {name: value for name, value in named.items() if value}


def _stop(server: Path) -> None:
    """End the web process, if it was started."""
    pid = server / "web.pid"
    with suppress(ProcessLookupError, FileNotFoundError):
        os.killpg(int(pid.read_text()), signal.SIGTERM)
