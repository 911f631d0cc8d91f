"""The first letter of a new agency: signed by a foreign tool, sent over HTTP, delivered, answered, proven."""

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from exchange.evidence import events, receipts
from fixtures.pki import Identity
from tests import live, receiver
from tests.live import LiveHub, until
from tests.world import NOW, Keys, World, answer_to_file

LETTER = Path(__file__).parent.parent.parent / "fixtures" / "accepted" / "document-new.edxml"
TEMPLATE = """<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>
<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>
<ds:Reference URI=""><ds:Transforms>
<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/>
</ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>"""


def signed_by_xmlsec1(raw: bytes, identity: Identity, directory: Path) -> bytes:
    key, certificate = identity.save(directory, "sender")
    seam = b"</edXML:edXMLHeader>"
    unsigned, signed = directory / "unsigned.edxml", directory / "signed.edxml"
    unsigned.write_bytes(raw.replace(seam, TEMPLATE.encode() + seam))
    command = ("xmlsec1", "--sign", "--privkey-pem", f"{key},{certificate}", "--output", signed, unsigned)
    subprocess.run(command, check=True, capture_output=True)
    return signed.read_bytes()


def names(hub: LiveHub, token: str, package: str) -> list[str]:
    lines = hub.call(token, "GET", f"packages/{package}/trail")[1]["items"]
    return [events.decode(line["event"].encode()).event for line in lines]


def test_a_letter_signed_with_xmlsec1_is_sent_delivered_answered_and_proven(
    tmp_path: Path, keys: Keys
) -> None:
    assert shutil.which("xmlsec1")
    raw = signed_by_xmlsec1(LETTER.read_bytes(), keys.identities["H29"], tmp_path)
    with receiver.running() as health, live.running(tmp_path, keys, health.url) as hub:
        office, transport = hub.token("office"), hub.token("transport")
        status, accepted = hub.send(office, raw)
        assert status == 201, accepted
        assert accepted["signature"]["state"] == "valid"
        receipt = accepted["receipt"]
        assert receipts.verify(receipt["event"].encode(), receipt["jws"], None, NOW)

        [item] = until(lambda: hub.call(transport, "GET", "inbox?wait=5")[1]["items"], "the letter")
        _, content = hub.call(transport, "GET", f"deliveries/{item['delivery']}/content")
        assert content == raw, "the recipient gets the very bytes"
        digest = {"sha256": sha256(content).hexdigest()}
        assert hub.call(transport, "POST", f"deliveries/{item['delivery']}/ack", digest)[0] == 200

        told = hub.call(transport, "POST", f"deliveries/{item['delivery']}/status", {"code": "03"})
        assert told[0] == 201
        done = World(keys).status("H29.5", "06", answer_to_file(raw))
        assert hub.send(transport, done)[0] == 201
        answers = until(lambda: hub.call(office, "GET", "inbox?kind=status&wait=5")[1]["items"], "answers")
        assert [answer["sender"] for answer in answers] == ["H29.5", "H29.5"]

        until(lambda: len(health.received) == 1, "the push to the health system")

        def both_handed_over() -> list[str]:
            happened = names(hub, office, accepted["id"])
            return happened if happened.count("ContentHandover") == 2 else []

        happened = until(both_handed_over, "both handovers")
        assert happened[0] == "SubmissionAcceptance"
        assert happened.count("ContentConsignment") == 2
        assert [name for name in happened if name in ("ConsignmentAcceptance", "Processing")] == [
            "ConsignmentAcceptance",
            "Processing",
        ]
