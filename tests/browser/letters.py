"""Documents in trouble, for the pages to explain."""

from datetime import UTC, datetime, timedelta

from exchange import delivery, registry
from exchange.models import Attempt, Delivery, Outcome, Package
from tests.world import ACTOR, World, answer_to

MORE = 20  # recipients of `wide` besides the four agencies of the city


def troubled(hub: World) -> Package:
    """A document to four agencies: expired, refused, late, and one that still waits."""
    return _trouble(hub, [])


def wide(hub: World) -> Package:
    """The same to 24 agencies: the others have it and say nothing yet."""
    now, by = datetime.now(UTC), registry.Change(ACTOR, datetime.now(UTC))
    others = [
        registry.register_unit(
            f"H29.{200 + number}",
            f"Ủy ban nhân dân phường số {number}",
            parent=hub.agencies["H29.121"],
            system=hub.systems["district"],
            by=by,
        )
        for number in range(1, MORE + 1)
    ]
    package = _trouble(hub, [agency.code for agency in others])
    system = hub.systems["district"]
    for row in Delivery.objects.filter(package=package, recipient__in=others):
        delivery.serve(row.pk, system=system, now=now)
        delivery.acknowledge(row.pk, system=system, sha256=package.sha256, actor=ACTOR, now=now)
    Delivery.objects.filter(package=package, recipient__code="H29.17").update(attempts=3)
    Attempt.objects.create(
        delivery=Delivery.objects.get(package=package, recipient__code="H29.17"),
        number=3,
        url="http://127.0.0.1:9/",
        outcome=Outcome.UNREACHABLE,
        started_at=now,
        finished_at=now,
    )
    return package


def _trouble(hub: World, others: list[str]) -> Package:
    now = datetime.now(UTC)
    recipients = ("H29.5", "H29.10", "H29.17", "H29.121", *others)
    sent = hub.send("H29", *recipients, subject="Kế hoạch ứng phó ngập lụt", now=now, at=now)
    hub.accept(hub.status("H29.10", "02", answer_to(sent), description="Gửi nhầm nơi"), "H29.10", now)
    rows = Delivery.objects.filter(package=sent.package)
    rows.filter(recipient__code="H29.5").update(expires_at=now)
    rows.filter(recipient__code="H29.121").update(
        receipt_due_at=now - timedelta(days=2), reminded_at=now - timedelta(days=1)
    )
    delivery.expire(datetime.now(UTC))
    return sent.package
