"""The bytes of a package on their way in."""

from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory

from agencies.models import System
from exchange.body import read_package
from exchange.refusals import Refused
from tests.api.conftest import EDXML, Caller, code_of
from tests.world import World


class Endless:
    """A body that never ends, and how much of it was read."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "an endless body must never be read to its end"
        self.taken += size
        return b"x" * size


def chunked(rf: RequestFactory, stream: Any) -> Any:
    request = rf.post("/api/v1/packages", content_type=EDXML)
    request.META.pop("CONTENT_LENGTH", None)
    request.META |= {"wsgi.input": stream, "wsgi.input_terminated": True}
    return request


def refusal(request: Any, system: System) -> Refused:
    with pytest.raises(Refused) as caught:
        read_package(request, system)
    return caught.value


@pytest.mark.parametrize(
    "content_type",
    [EDXML, "application/xml", "text/xml; charset=utf-8", "application/octet-stream", "Application/XML"],
)
def test_the_bytes_come_through_unchanged(rf: RequestFactory, content_type: str) -> None:
    raw = bytes(range(256)) * 5000
    assert read_package(rf.post("/", raw, content_type=content_type), System()) == raw


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/form-data; boundary=x", "text/plain"],
)
def test_other_media_types_are_refused(rf: RequestFactory, content_type: str) -> None:
    assert refusal(rf.post("/", b"<a/>", content_type=content_type), System()).code == "request.media-type"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip"])
def test_a_compressed_body_is_refused(rf: RequestFactory, encoding: str) -> None:
    request = rf.post("/", b"<a/>", content_type=EDXML, headers={"Content-Encoding": encoding})
    assert refusal(request, System()).code == "request.media-type"


def test_a_body_of_just_the_limit_is_taken(rf: RequestFactory) -> None:
    assert read_package(rf.post("/", b"x" * 10, content_type=EDXML), System(max_bytes=10)) == b"x" * 10


def test_a_body_announced_as_too_large_is_refused_unread(rf: RequestFactory) -> None:
    request = rf.post("/", b"x" * 11, content_type=EDXML)
    found = refusal(request, System(max_bytes=10))
    assert (found.code, dict(found.problems[0].facts)) == ("package.too-large", {"size": 11, "limit": 10})
    assert request.read() == b"x" * 11


def test_the_limit_of_the_hub_holds_for_a_system_with_a_higher_one(rf: RequestFactory) -> None:
    request = rf.post("/", b"x", content_type=EDXML)
    request.META["CONTENT_LENGTH"] = "100000001"
    assert refusal(request, System(max_bytes=10**12)).code == "package.too-large"


def test_a_chunked_body_is_read_to_its_end(rf: RequestFactory) -> None:
    assert read_package(chunked(rf, BytesIO(b"<a/>")), System()) == b"<a/>"


def test_a_chunked_body_that_never_ends_is_cut_off_at_the_limit(rf: RequestFactory) -> None:
    endless = Endless()
    assert refusal(chunked(rf, endless), System(max_bytes=3_000_000)).code == "package.too-large"
    assert endless.taken == 3_000_001


def test_fewer_bytes_than_announced_are_refused(rf: RequestFactory) -> None:
    request = rf.post("/", b"<a/>", content_type=EDXML)
    request.META |= {"CONTENT_LENGTH": "5"}
    assert refusal(request, System()).code == "request.invalid"


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "4, 4"])
def test_a_length_that_is_not_a_number_is_refused(rf: RequestFactory, length: str) -> None:
    request = rf.post("/", b"<a/>", content_type=EDXML)
    request.META |= {"CONTENT_LENGTH": length}
    assert refusal(request, System()).code == "request.invalid"


@pytest.mark.django_db
def test_refusals_of_the_body_reach_the_client(sender: Caller, hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    compressed = sender.send(raw, headers={"Content-Encoding": "gzip"})
    assert (compressed.status_code, code_of(compressed)) == (415, "request.media-type")
    System.objects.filter(pk=hub.systems["office"].pk).update(max_bytes=100)
    large = sender.send(raw)
    assert (large.status_code, code_of(large)) == (413, "package.too-large")
