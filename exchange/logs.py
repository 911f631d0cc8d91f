"""How log lines look: readable text in development, JSON in production; both by structlog.

Bodies, secrets and personal data are never given to a logger. `scrub` stands behind that rule, for what the
hub does not write itself: the traces of exceptions, above all.
"""

import logging
import os
import re
import socket
import sys
from collections.abc import MutableMapping
from logging.handlers import SysLogHandler
from typing import Any

import structlog

_SECRET_NAMES = re.compile(r"secret|password|token$|authorization|cookie|private|^key$", re.IGNORECASE)
# Citizen ids have 12 digits, older ones 9; digits inside ids, digests and numbers with a point are none.
_CITIZEN = re.compile(r"(?<![0-9A-Za-z.:_-])(?:\d{12}|\d{9})(?![0-9A-Za-z_-]|\.\d)")
_ROW_OF_DATABASE = re.compile(r"^(DETAIL|HINT|CONTEXT): .*$", re.MULTILINE)
_MASK = "***"
# What libraries and tracebacks quote of what they were given: credentials, names in certificates, packages.
_QUOTED = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_MASK}"),
    (
        re.compile(r"(?i)\b(\w*secret|passw\w*|access_token)(['\"]?\s*[:=]\s*['\"]?)[^\s'\",&}]+"),
        rf"\1\2{_MASK}",
    ),
    (re.compile(r"(://[^\s:/@]+):[^\s@/]+@"), rf"\1:{_MASK}@"),
    (re.compile(r"(?i)\b(CCCD|CMND|CMT|HC|PID)(\s*:\s*)[^\s,+]+"), rf"\1\2{_MASK}"),
    (re.compile(r"<(?:\w+:)?edXML\b.*", re.DOTALL | re.IGNORECASE), "<edXML …>"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*KEY-----", re.DOTALL), _MASK),
)


def formatter(*, as_json: bool) -> structlog.stdlib.ProcessorFormatter:
    """The formatter of the ordinary log."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if as_json
            else structlog.dev.ConsoleRenderer(colors=False),
        ],
    )


def scrub(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what looks like a secret or a citizen's number, and the rows that a database error quotes."""
    for name, value in line.items():
        if _SECRET_NAMES.search(name):
            line[name] = _MASK
        elif isinstance(value, str):
            text = _CITIZEN.sub(_MASK, _ROW_OF_DATABASE.sub(rf"\1: {_MASK}", value))
            for pattern, mask in _QUOTED:
                text = pattern.sub(mask, text)
            line[name] = text
    return line


SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    scrub,
]


def configure() -> None:
    """Send structlog's events through the standard logging set up in the settings."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


# --- the security stream, as a SIEM takes it ----------------------------------------------------------


class Rfc5424(logging.Formatter):
    """A JSON line behind the header of RFC 5424 (section 6), whose priority the handler writes before it."""

    def __init__(self, hub: str) -> None:
        super().__init__()
        self._hub = re.sub(r"[^!-~]", "-", hub)[:48] or "hub"
        self._lines = formatter(as_json=True)

    def format(self, record: logging.LogRecord) -> str:
        """`1 TIME HOST APP PROCID MSGID - {…}`; ASCII, so that no byte order mark is needed."""
        json = self._lines.format(record)
        text = json.encode("ascii", "backslashreplace").decode()
        at = structlog.processors.TimeStamper(fmt="iso", utc=True)(None, "", {})["timestamp"]
        return f"1 {at} {socket.gethostname()} {self._hub} {os.getpid()} security - {text}"


class Syslog(SysLogHandler):
    """To the local socket (`/dev/log`) or by UDP (`host:514`): neither ever makes a request wait."""

    append_nul = False

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        address: str | tuple[str, int] = target if target.startswith("/") else (host, int(port))
        super().__init__(address, SysLogHandler.LOG_AUTHPRIV)

    def createSocket(self) -> None:
        """Connect; a collector whose name is not known yet is looked up again with the next line."""
        try:
            super().createSocket()
        except OSError:
            self.socket = None

    def handleError(self, record: logging.LogRecord) -> None:
        """A line that could not be sent stands in the ordinary log all the same; say so once per line."""
        logging.getLogger(__name__).warning("security_stream_lost %s", sys.exc_info()[1])
