"""What a registrar does to certificates."""

from datetime import UTC, datetime

from agencies.directory import signing_certificates
from exchange import registry
from tests.world import ACTOR, World


def revoke(hub: World, code: str) -> None:
    """Revoke every certificate of agency `code`, as a registrar would, now."""
    by = registry.Change(ACTOR, datetime.now(UTC), why="lost key")
    for certificate in signing_certificates(hub.agencies[code]):
        registry.revoke_certificate(certificate, by=by)
