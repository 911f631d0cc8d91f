"""What a log line shows, whoever wrote it."""

import io
import json
import logging

import pytest
import structlog

from exchange import logs


def line(text: str, **facts: str) -> str:
    """The line that a library's logger and the hub's own make of it."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.formatter(as_json=True))
    handler.emit(logging.LogRecord("library", logging.WARNING, "", 0, text, (), None))
    structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[logs.scrub, structlog.processors.JSONRenderer()]
    ).msg("said", text=text, **facts)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("Authorization: Basic YWJjOmRlZmdoaWprbG1ub3A=", "YWJjOmRl"),
        ("form: {'client_secret': 's3cr3t-value'}", "s3cr3t-value"),
        ("client_id=a&client_secret=s3cr3t&scope=send", "s3cr3t"),
        ("amqp://hub:pa55word@broker:5672//", "pa55word"),
        ("CN=Nguyễn Văn A,UID=CCCD:012345678901", "012345678901"),
        ("citizen 012345678901 signed", "012345678901"),
        ('got <edXML xmlns="x"><Subject>Mật</Subject></edXML>', "Mật"),
        ("-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----", "MIG"),
    ],
)
def test_what_must_not_be_logged_is_masked(text: str, secret: str) -> None:
    assert secret not in line(text)


@pytest.mark.parametrize(
    "text",
    [
        "018f0000-0000-7000-8000-012345678901",
        "sha256 " + "0123456789ab" * 5 + "0123",
        "10000000 bytes at 2026-11-25T21:00:00Z",
        "http://127.0.0.1:8000/api/v1/packages",
        "package_refused code=certificate.revoked",
    ],
)
def test_what_is_needed_stays(text: str) -> None:
    assert json.loads(line(text).splitlines()[0])["event"] == text


def test_a_traceback_is_masked_too() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.formatter(as_json=True))
    try:
        raise ValueError("password=hunter22")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    handler.emit(logging.LogRecord("library", logging.ERROR, "", 0, "failed", (), info))
    assert "hunter22" not in out.getvalue()
    assert "ValueError" in out.getvalue()
