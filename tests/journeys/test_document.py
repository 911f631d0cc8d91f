"""One document from POST to receipt, through the stages."""

from datetime import timedelta

from exchange import delivery
from exchange.models import Answer, Delivery, State
from tests.world import NOW, World, answer_to


def test_a_document_is_accepted_delivered_acknowledged_and_answered(hub: World) -> None:
    sent = hub.send("H29", "H29.5", "000.00.17.H29")
    assert [item.recipient.code for item in sent.deliveries] == ["H29.5", "H29.17"]

    system = hub.system_of("H29.5")
    [item] = delivery.inbox(system, limit=50, lease=timedelta(), now=NOW)
    served = delivery.serve(item.id, system=system, now=NOW)
    receipt = delivery.acknowledge(
        served.id, system=system, sha256=served.package.sha256, actor=hub.actor_of("H29.5"), now=NOW
    )
    again = delivery.acknowledge(
        served.id, system=system, sha256=served.package.sha256, actor=hub.actor_of("H29.5"), now=NOW
    )
    assert receipt == again
    answered = hub.accept(hub.status("H29.5", "03", answer_to(sent)), "H29.5")
    row = Delivery.objects.get(id=item.id)
    assert (row.state, row.answer) == (State.HANDED_OVER, Answer.ACCEPTED)
    assert [to.recipient.code for to in answered.deliveries] == ["H29"]
