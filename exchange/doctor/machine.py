"""The machine under the hub: versions, settings, clock, disks, fonts."""

import ctypes
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from django.conf import settings
from django.core import checks

from exchange import vault as store
from exchange.doctor.faults import Finding
from exchange.gauges import places

LEAST_PYTHON = (3, 11)
LOW_RATIO, LOW_BYTES = 0.10, 2 * 1024**3
FONTS = "exchange/exports/fonts"
_PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;]+) \\$", re.MULTILINE)  # what depends on the platform is left out
_TIME_ERROR = 5


def look() -> Iterator[Finding]:
    """What is wrong with this machine and its settings."""
    if sys.version_info < LEAST_PYTHON:
        yield Finding("python.old", sys.version.split()[0])
    if different := _different_libraries():
        yield Finding("libraries.differ", ", ".join(different[:5]))
    yield from _settings()
    if _clock_state() == _TIME_ERROR:
        yield Finding("clock.unsynchronised", "adjtimex: TIME_ERROR")
    yield from _disks()
    yield from vault()
    if not any((settings.BASE_DIR / FONTS).glob("*.ttf")):
        yield Finding("fonts.missing", FONTS)


def _different_libraries() -> list[str]:
    lock = (settings.BASE_DIR / "requirements.txt").read_text(encoding="utf-8")
    pins = _PIN.findall(lock)
    return [f"{name} {_installed(name)} ≠ {pin}" for name, pin in pins if _installed(name) != pin]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "–"


def _settings() -> Iterator[Finding]:
    for message in checks.run_checks(tags=["hub"]):
        code = "settings.mistake" if message.is_serious() else "settings.doubtful"
        yield Finding(code, f"{message.id}: {message.msg} → {message.hint}")


def _clock_state() -> int:
    """What the kernel says of its clock (adjtimex 2, reading only); -1 where it may not be asked."""
    if sys.platform != "linux":
        return -1
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))


def _disks() -> Iterator[Finding]:
    for name, path in places().items():
        usage = shutil.disk_usage(path)
        if usage.free < min(LOW_RATIO * usage.total, LOW_BYTES * 10) or usage.free < LOW_BYTES:
            yield Finding(
                "disk.low", f"{name}: {path}: {usage.free / 1024**3:.1f} GB ({usage.free / usage.total:.0%})"
            )


def vault() -> Iterator[Finding]:
    """Whether the vault takes bytes now."""
    try:
        store.check()
    except OSError as error:
        where = settings.ENVIRONMENT.vault_bucket or settings.ENVIRONMENT.vault
        yield Finding("vault.not-writable", f"{where}: {error.strerror or error}")
