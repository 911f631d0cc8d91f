"""Benches of the face for existing clients: sending, and the loop of a client, beside the native face."""

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

import aiohttp

from exchange.envelope import package as envelope
from fixtures.vxp import JSON, OCTETS, Client
from tests.bench import load
from tests.bench.crowd import PULLED
from tests.bench.rows import Row
from tests.bench.stage import Stage
from tests.world import DAY, NOW

CLIENTS, ITEMS, SIZE = 8, 400, 20_000
SENDER, RECIPIENT = "H29.3001", "H29.3002"


def clients(stage: Stage) -> list[Row]:
    """sendEdoc, then getEdoc and updateStatus of every item of one list; the native calls are the floor."""
    sender, recipient = _enrol(stage, SENDER), _enrol(stage, RECIPIENT)
    native = stage.documents(ITEMS, SIZE, PULLED)
    packages = load.post(f"{stage.url}/api/v1/packages", native, stage.headers("office"), expect=201)
    accepted = load.closed(packages, ITEMS, CLIENTS)
    sent = load.closed(_send(stage, sender, _documents()), ITEMS, CLIENTS)
    taken = load.closed(_native_loop(stage), ITEMS, CLIENTS)
    looped = load.closed(_loop(stage, recipient), ITEMS, CLIENTS)
    return [
        Row("VXP sendEdoc 20 KB, unsigned", sent.rate, "/s", "", accepted.rate),
        Row("VXP getEdoc + updateStatus", looped.rate, "items/s", "", taken.rate),
    ]


def _enrol(stage: Stage, code: str) -> Client:
    stage.hub.manage("enrol_agency", code, f"Cơ quan {code}")
    words = ("enrol_system", f"vxp {code}", "--kind", "vxp", "--agency", code, "--json")
    made = json.loads(stage.hub.manage(*words))
    return Client(f"{stage.url}/vxp", made["vxp_id"], made["vxp_secret"])


def _documents() -> list[bytes]:
    """Unsigned, as these clients send them; each with a number of its own."""
    filler = bytes(range(256)) * (SIZE * 3 // 4 // 256)
    return [
        envelope.build(
            envelope.document(
                sender=envelope.Organ(SENDER),
                recipients=[envelope.Organ(RECIPIENT)],
                code=envelope.Code(str(number), "KH-BENCH"),
                day=DAY,
                subject="Kế hoạch",
                at=NOW,
                attachments=[envelope.attach("a.dat", filler)],
            )
        )
        for number in range(ITEMS)
    ]


def _send(stage: Stage, client: Client, documents: list[bytes]) -> load.Call:
    async def call(session: aiohttp.ClientSession, number: int) -> None:
        raw = documents[number]
        digest = "".join(f"{byte:x}" for byte in sha256(raw).digest())
        asked = {"servicetype": "eDoc", "messagetype": "edoc", "hash-file": digest, "from": SENDER}
        headers = client.headers(OCTETS, asked)
        await _post(session, f"{stage.url}/vxp/sendEdoc", raw + b"\r\n", headers)

    return call


def _loop(stage: Stage, client: Client) -> load.Call:
    items = [item["docId"] for item in client.received()["data"]]

    async def call(session: aiohttp.ClientSession, number: int) -> None:
        named = {"docId": items[number]}
        got = await _post(session, f"{stage.url}/vxp/getEdoc", b"{}", client.headers(JSON, named))
        b64decode(got["data"])
        done = client.headers(JSON, {**named, "status": "done"})
        await _post(session, f"{stage.url}/vxp/updateStatus", b"{}", done)

    return call


def _native_loop(stage: Stage) -> load.Call:
    """The same over the native face: content, and the acknowledgement with its digest."""
    token = stage.tokens["puller"]
    items: list[str] = []
    while len(items) < ITEMS:
        more = stage.hub.call(token, "GET", "inbox?limit=200&lease=600")[1]["items"]
        items += [item["delivery"] for item in more]
        if not more:
            raise RuntimeError(f"{len(items)} deliveries wait, {ITEMS} are needed")
    headers = {"Authorization": f"Bearer {token}"}

    async def call(session: aiohttp.ClientSession, number: int) -> None:
        url = f"{stage.url}/api/v1/deliveries/{items[number]}"
        async with session.get(f"{url}/content", headers=headers) as response:
            digest = sha256(await response.read()).hexdigest()
        async with session.post(f"{url}/ack", json={"sha256": digest}, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"ack: {response.status} {await response.text()}")

    return call


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> Any:
    async with session.post(url, data=body, headers=headers) as response:
        answer = json.loads(await response.read())
    if answer["status"] != "OK":
        raise RuntimeError(f"{url}: {answer}")
    return answer
