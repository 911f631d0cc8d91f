"""A real HTTP receiver on the loopback interface, for tests of push."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any

Answer = Callable[["Received"], tuple[int, bytes, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """What arrived at `url`; `answer` decides what is answered and may be changed at any time."""

    url: str
    answer: Answer
    received: list[Received] = field(default_factory=list)


def acknowledge(request: Received) -> tuple[int, bytes, dict[str, str]]:
    """Answer with the digest of what arrived, as the contract asks."""
    return 200, json.dumps({"sha256": sha256(request.body).hexdigest()}).encode(), {}


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """Always answer `code`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: (code, body, named)


@contextmanager
def served(server: BaseServer) -> Iterator[None]:
    """`server` answers in a thread of its own. It stops when it is told to, not at its next half second."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running(answer: Answer = acknowledge) -> Iterator[Receiver]:
    """A receiver that lives for one test."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            receiver.received.append(request)
            code, answer_body, headers = receiver.answer(request)
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(answer_body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer_body)

        def log_message(self, *_args: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/edxml", answer)
    with served(server):
        yield receiver
