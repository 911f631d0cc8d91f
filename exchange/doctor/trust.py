"""The hub's own keys, the authorities that it trusts, and how long all of that lasts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.conf import settings

from agencies import authorities
from exchange import keys, revocation
from exchange.doctor.faults import Finding
from exchange.gauges import expiries

SOON = timedelta(days=30)


def look() -> Iterator[Finding]:
    """What is wrong with keys and trust; needs the database."""
    now = datetime.now(UTC)
    yield from own_keys(now)
    yield from _authorities()
    for kind, until in expiries(now).items():
        if until - now < SOON:
            code = "certificate.expired" if until <= now else "certificate.expiring"
            yield Finding(code, f"{kind}: {until:%F}")
    for issuer, due in revocation.overdue(now):
        yield Finding("crl.overdue", f"{issuer}: {due:%F %T}Z")
    for address, problem in revocation.problems():
        yield Finding("crl.unfetched", f"{address}: {problem}")


def own_keys(now: datetime) -> Iterator[Finding]:
    """Keys that are missing, do not serve, or lie open."""
    try:
        keys.seal(now).sign(b"doctor")
        keys.log_key(now)
        keys.decrypt(keys.encrypt(b"doctor"))
    except keys.ModuleFailed as error:
        yield Finding("keys.module", str(error))
    except (keys.KeyMissing, keys.KeyUnusable, keys.Unreadable, ValueError, OSError) as error:
        yield Finding("keys.missing", str(error))
    directory = settings.ENVIRONMENT.keys
    files = sorted(path for path in directory.glob("*") if path.stat().st_size)  # an empty lock hides nothing
    open_ones = [path for path in (directory, *files) if path.exists() and path.stat().st_mode & 0o077]
    if open_ones:
        yield Finding(
            "keys.open", ", ".join(f"{path} {path.stat().st_mode & 0o777:o}" for path in open_ones[:5])
        )


def _authorities() -> Iterator[Finding]:
    try:
        store = authorities.trust_store(settings.ENVIRONMENT.trust_dir)
    except (ValueError, OSError) as error:
        yield Finding("trust.unreadable", str(error))
        return
    if not store.roots:
        yield Finding("trust.empty", str(settings.ENVIRONMENT.trust_dir or "HUB_TRUST_DIR"))
