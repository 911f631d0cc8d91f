"""Asks the authorities, in the background, which certificates they have revoked; stores what they sign.

The intake path opens no connection: it uses what is stored, and its age is shown and alarmed. Lists may come
over plain http (RFC 5280 has them so): what counts is their signature, which is checked before one is kept.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from django.conf import settings

from agencies import authorities
from agencies.directory import Certificate
from agencies.models import RevocationAnswer, RevocationList
from exchange import facts, log, registry, transport
from exchange.models import Fact

PREFIX = "revocation."
_logger = structlog.get_logger(__name__)


def refresh(now: datetime) -> None:
    """Ask every source that was not asked within HUB_REVOCATION_MINUTES.

    A certificate that names a list is looked up there; its responder is asked only where it names none. What
    fails is noted under its address, is alarmed by `doctor`, and is tried again the next time.
    """
    by = registry.Change(log.HUB, now)
    asked: set[str] = set()
    for source in _sources(now):
        name = _name(source)
        if not name or name in asked or _asked_lately(name, now):
            continue
        asked.add(name)
        problems = [_ask(source, address, by) for address in source.crls or source.responders]
        facts.say(name, now, address=(source.crls or source.responders)[0], problem=_joined(problems))


def _name(source: authorities.Source) -> str:
    """One name for one list, and for one question to a responder; "" where nobody can be asked."""
    if source.crls:
        key = source.crls[0].encode()
    elif source.responders:
        key = source.responders[0].encode() + source.certificate
    else:
        return ""
    return PREFIX + sha256(key).hexdigest()[:32]


def _joined(problems: list[str]) -> str:
    """Nothing is wrong if one of several addresses answered."""
    return "" if "" in problems else "; ".join(problems)[:500]


def _ask(source: authorities.Source, address: str, by: registry.Change) -> str:
    """Fetch from `address` and store; what went wrong, "" for nothing."""
    try:
        if source.crls:
            registry.store_crl(transport.fetch(address), source.issuer, by=by)
        else:
            answer = transport.fetch(address, source.question)
            registry.store_answer(answer, source.certificate, source.issuer, by=by)
    except (transport.Unfetched, registry.EnrolmentError) as error:
        _logger.warning("revocation_not_fetched", address=address, error=str(error))
        return str(error)
    return ""


def _sources(now: datetime) -> Iterator[authorities.Source]:
    """Of every certificate that may still sign, and of the authorities between them and the roots."""
    trust_dir = settings.ENVIRONMENT.trust_dir
    rows = Certificate.objects.filter(revoked_at=None, not_after__gt=now).order_by("not_after")
    seen = {bytes(der) for der in rows.values_list("der", flat=True)}
    seen.update(authorities.intermediates(trust_dir))
    for der in sorted(seen):
        yield from authorities.sources(der, trust_dir)


def _asked_lately(name: str, now: datetime) -> bool:
    patience = timedelta(minutes=settings.ENVIRONMENT.revocation_minutes)
    fact = Fact.objects.filter(name=name, at__gt=now - patience).first()
    return fact is not None and not fact.value.get("problem")


def problems() -> list[tuple[str, str]]:
    """The sources that could not be asked the last time, and why."""
    rows = Fact.objects.filter(name__startswith=PREFIX).order_by("name")
    return [(row.value["address"], row.value["problem"]) for row in rows if row.value.get("problem")]


def overdue(now: datetime) -> Iterator[tuple[str, datetime]]:
    """The stored answers that are past their next update, with that time."""
    for answer in RevocationAnswer.objects.filter(next_update__lt=now):
        yield f"OCSP {answer.fingerprint[:16]}", answer.next_update or now
    for row in RevocationList.objects.filter(next_update__lt=now):
        yield row.issuer, row.next_update or now
