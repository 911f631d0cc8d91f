"""Two whole hubs, one above the other: documents, statuses and recalls cross the uplink both ways."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.evidence import events
from fixtures.vxp import Client
from tests import live
from tests.journeys.test_vxp import letter
from tests.live import LiveHub, until
from tests.world import NOW, Keys, answer_to_file

pytestmark = pytest.mark.postgresql


def connect(hub: LiveHub, name: str, *codes: str) -> tuple[Client, dict[str, str]]:
    """A new system of the VXP face for new agencies, and what was printed about it."""
    for code in codes:
        hub.manage("enrol_agency", code, f"Cơ quan {code}")
    served = [word for code in codes for word in ("--agency", code)]
    made = json.loads(hub.manage("enrol_system", name, "--kind", "vxp", *served, "--json"))
    return Client(f"http://127.0.0.1:{hub.port}/vxp", made["vxp_id"], made["vxp_secret"]), made


def put_above(upper: LiveHub, lower: LiveHub, folder: Path, *codes: str) -> None:
    """Make `lower` a client of `upper` for its agencies `codes`, and everything else its default."""
    made = connect(upper, "Trục tỉnh", *codes)[1]
    (folder / "secret").write_text(made["vxp_secret"])
    url = f"http://127.0.0.1:{upper.port}/vxp"
    words = ("--url", url, "--systemid", made["vxp_id"], "--secret-file", str(folder / "secret"))
    lower.manage("enrol_uplink", "Trục quốc gia", *words, "--prefix", "*")


def one(client: Client, kind: str, what: str) -> tuple[bytes, envelope.Package]:
    """The one package that arrives at a client, taken."""
    [item] = until(lambda: client.received(kind)["data"], what)
    raw = base64.b64decode(client.get(item["docId"])["data"])
    assert client.update(item["docId"], "done")["status"] == "OK"
    return raw, envelope.read(xml.parse(raw))


def say(client: Client, speaker: str, code: str, raw: bytes, description: str = "") -> None:
    """A status of a client about the document in `raw`."""
    content = envelope.status(
        code, sender=envelope.Organ(speaker), answers=answer_to_file(raw), at=NOW, description=description
    )
    assert client.send(envelope.build(content), speaker, "status")["status"] == "OK"


def became(client: Client, doc_id: str, **wanted: str) -> Callable[[], bool]:
    """Whether the sent list of a client says `wanted` of its document."""

    def look() -> bool:
        [item] = client.sent_list(doc_id)["data"]
        return all(item.get(name) == value for name, value in wanted.items())

    return look


def trail(hub: LiveHub, made: dict[str, Any], package: str) -> list[str]:
    """The names of the events of a package, asked for over the native API."""
    hub.clients["asking"] = (made["client_id"], made["client_secret"])
    lines = hub.call(hub.token("asking"), "GET", f"packages/{package}/trail")[1]["items"]
    return [events.decode(line["event"].encode()).event for line in lines]


def test_two_hubs_one_above_the_other(tmp_path: Path, keys: Keys) -> None:
    with (
        live.running(tmp_path / "upper", keys, live.NOBODY) as upper,
        live.running(tmp_path / "lower", keys, live.NOBODY, HUB_UPLINK_SECONDS="1") as lower,
    ):
        ministry, _ = connect(upper, "Văn phòng Chính phủ", "G22")
        province, made = connect(lower, "Văn phòng tỉnh", "H31", "H31.1")
        put_above(upper, lower, tmp_path, "H31", "H31.1")
        lower.manage("enrol_agency", "G99", "Cơ quan chưa có ở trục trên")
        assert json.loads(lower.manage("collect_from_above", "--directory", "--json"))["agencies"] == 1

        # Up, and the answer down.
        raw = letter("H31", "G22", "1")
        up = province.send(raw, "H31")["DocId"]
        arrived, _ = one(ministry, "edoc", "the letter above")
        assert arrived == raw, "the recipient above gets the very bytes"
        until(lambda: "RelayAcceptance" in trail(lower, made, up), "the receipt of the hub above")
        say(ministry, "G22", "03", raw)
        assert one(province, "status", "the answer below")[1].status_code == "03"
        assert became(province, up, sendStatus="done", receiveStatus="03")()

        # The recall up, and the agreement down.
        recall = raw.replace(b"DocType>0<", b"DocType>1<")
        assert province.send(recall, "H31")["status"] == "OK"
        assert one(ministry, "edoc", "the recall above")[1].business_type.name == "RECALL"
        say(ministry, "G22", "15", raw)
        assert one(province, "status", "the agreement below")[1].status_code == "15"
        until(became(province, up, sendStatus="withdrawn"), "the withdrawal")

        # Down to two agencies, once each; the answer, and a declined recall, up.
        content = envelope.read(xml.parse(letter("G22", "H31", "2")))
        both = (envelope.Organ("H31"), envelope.Organ("H31.1"), envelope.Organ("G22"))
        raw = envelope.build(replace(content, recipients=both))
        down = ministry.send(raw, "G22")["DocId"]
        until(lambda: len(province.received()["data"]) == 2, "the letter below")
        for item in province.received()["data"]:
            assert base64.b64decode(province.get(item["docId"])["data"]) == raw
            province.update(item["docId"], "done")
        say(province, "H31", "03", raw)
        assert one(ministry, "status", "the answer above")[1].sender.organ_id == "H31"
        assert ministry.send(raw.replace(b"DocType>0<", b"DocType>1<"), "G22")["status"] == "OK"
        until(lambda: len(province.received()["data"]) == 2, "the recall below")
        say(province, "H31", "16", raw, "đang xử lý")
        assert one(ministry, "status", "the refusal above")[1].status_code == "16"
        items = {item["toCode"]: item for item in ministry.sent_list(down)["data"]}
        assert items["H31"]["sendStatus"] == "done"

        # What the hub above refuses for good is an event here.
        lost = province.send(letter("H31", "G99", "3"), "H31")["DocId"]
        until(became(province, lost, sendStatus="fail"), "the refusal from above")
        assert "RelayRejection" in trail(lower, made, lost)
