"""System checks: what is wrong with the settings, and what to do about it. What has the wrong type or an
unknown name never gets here: `environment.py` refuses it. Each has an id and a hint (docs/operations.md)."""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from exchange.environment import Environment

HUB = "hub"
"""The tag of these checks."""
MAY_BE_ZERO = ("metrics_port", "requests_per_minute")
LEAST_SECRET = 32


@register(HUB)
def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every check, in the order below."""
    return [message for look in _LOOKS for message in look(settings.ENVIRONMENT)]


def _secrets(given: Environment) -> Iterator[CheckMessage]:
    """A hub on PostgreSQL is in production: what may be made by itself in a demo must be given there."""
    if given.embedded:
        return
    hint = "Give every process the same random text of 50 characters, or HUB_SECRET_KEY_FILE."
    if not given.secret_key:
        yield Error("HUB_SECRET_KEY is not set", hint=hint, id="hub.E001")
    elif len(given.secret_key) < LEAST_SECRET:
        yield Error(f"HUB_SECRET_KEY has {len(given.secret_key)} characters", hint=hint, id="hub.E004")
    if given.debug:
        yield Error("HUB_DEBUG is on", hint="Unset HUB_DEBUG in production.", id="hub.E002")


def _trust(given: Environment) -> Iterator[CheckMessage]:
    if given.trust_dir is None:
        yield Warning(
            "HUB_TRUST_DIR is not set: no certificate is trusted, so no signature is valid",
            hint="Name the directory with the PEM files of the trusted authorities.",
            id="hub.W001",
        )
    elif not given.trust_dir.is_dir():
        yield Error(
            f"HUB_TRUST_DIR: {given.trust_dir} is not a directory",
            hint="Put the PEM files of the trusted authorities there.",
            id="hub.E003",
        )


def _numbers(given: Environment) -> Iterator[CheckMessage]:
    for item in fields(given):
        value = getattr(given, item.name)
        if isinstance(value, int) and not isinstance(value, bool):
            least = 0 if item.name in MAY_BE_ZERO else 1
            if value < least:
                name = f"HUB_{item.name.upper()}"
                yield Error(f"{name} is {value}", hint=f"Give at least {least}.", id="hub.E005")


def _ports(given: Environment) -> Iterator[CheckMessage]:
    if given.metrics_port and given.metrics_port == given.port:
        yield Error(
            f"HUB_METRICS_PORT and HUB_PORT are both {given.port}",
            hint="The metrics need a port of their own, which the proxy does not forward.",
            id="hub.E006",
        )
    for name, port in (("HUB_PORT", given.port), ("HUB_METRICS_PORT", given.metrics_port)):
        if port > 65535:
            yield Error(f"{name} is {port}", hint="Ports end at 65535.", id="hub.E007")


def _addresses(given: Environment) -> Iterator[CheckMessage]:
    base = urlsplit(given.base_url)
    if base.scheme not in ("http", "https") or not base.hostname:
        yield Error(
            f"HUB_BASE_URL is {given.base_url!r}",
            hint="Give the address that clients use, such as https://hub.example.vn.",
            id="hub.E008",
        )
    elif base.scheme == "http" and not given.embedded:
        yield Warning(
            "HUB_BASE_URL is not https: tokens and sessions travel in the clear",
            hint="Put the hub behind TLS (deploy/nginx.conf) and give its https address.",
            id="hub.W002",
        )
    if "*" in given.allowed_hosts:
        yield Warning(
            "HUB_ALLOWED_HOSTS allows every host", hint="Name the hosts that the proxy serves.", id="hub.W003"
        )


def _servers(given: Environment) -> Iterator[CheckMessage]:
    wanted = (
        (
            "HUB_DATABASE_URL",
            given.database_url,
            ("postgresql", "postgres"),
            "postgresql://host/name",
            "E009",
        ),
        (
            "HUB_BROKER_URL",
            given.broker_url,
            ("amqp", "amqps", "redis", "rediss"),
            "amqp://host/name",
            "E010",
        ),
        ("HUB_EMAIL_URL", given.email_url, ("smtp", "smtps", "smtp+tls"), "smtp+tls://host:587", "E011"),
    )
    for name, url, schemes, example, code in wanted:
        parts = urlsplit(url)
        incomplete = name == "HUB_DATABASE_URL" and not parts.path.lstrip("/")
        if url and (parts.scheme not in schemes or not parts.hostname or incomplete):
            # The value may hold a password: it is not shown.
            yield Error(f"{name} is not an address of that kind", hint=f"Write {example}.", id=f"hub.{code}")
    if not given.embedded and not given.broker_url:
        yield Warning(
            "HUB_BROKER_URL is not set: the queue lies in files of this machine",
            hint="Give RabbitMQ, amqp://user:password@host:5672/name, to several machines or many documents.",
            id="hub.W004",
        )


def _times(given: Environment) -> Iterator[CheckMessage]:
    if given.lease_seconds <= given.push_seconds:
        yield Error(
            f"HUB_LEASE_SECONDS ({given.lease_seconds}) is not above HUB_PUSH_SECONDS ({given.push_seconds})",
            hint="A lease must outlast a push, or two workers push the same delivery.",
            id="hub.E012",
        )
    days = (
        given.expiry_days_express,
        given.expiry_days_very_urgent,
        given.expiry_days_urgent,
        given.expiry_days,
    )
    if list(days) != sorted(days):
        yield Warning(
            f"The more urgent expires later: {days} days from hỏa tốc to ordinary",
            hint="Order HUB_EXPIRY_DAYS_EXPRESS ≤ _VERY_URGENT ≤ _URGENT ≤ HUB_EXPIRY_DAYS.",
            id="hub.W005",
        )


def _networks(given: Environment) -> Iterator[CheckMessage]:
    for text in given.push_networks:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            yield Error(f"HUB_PUSH_NETWORKS: {error}", hint="Write networks as 10.1.0.0/16.", id="hub.E013")


def _security_stream(given: Environment) -> Iterator[CheckMessage]:
    target = given.security_syslog
    host, _, port = target.rpartition(":")
    if target and not target.startswith("/") and not (host and port.isdigit()):
        yield Error(f"HUB_SECURITY_SYSLOG is {target!r}", hint="Write /dev/log, or host:514.", id="hub.E014")
    if given.security_log and not given.security_log.parent.is_dir():
        yield Error(
            f"HUB_SECURITY_LOG: {given.security_log.parent} is not a directory",
            hint="Make it, writable for the hub's account.",
            id="hub.E015",
        )


_LOOKS: tuple[Callable[[Environment], Iterator[CheckMessage]], ...] = (
    _secrets, _trust, _numbers, _ports, _addresses, _servers, _times, _networks, _security_stream,
)  # fmt: skip
