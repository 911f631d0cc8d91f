"""The settings that an operator may give, read once from `HUB_*` variables into one typed object.

`HUB_X_FILE=/path` gives the value of `HUB_X` from a file (for secrets). An unknown `HUB_*` name is an
error that names the nearest known one: a misspelt setting must not be silently ignored. Pure.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self


class SettingError(Exception):
    """A `HUB_*` variable has an unknown name or a value of the wrong type."""


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
    return words[text.lower()]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _policy(text: str) -> str:
    if text not in ("accept-and-mark", "refuse"):
        raise ValueError(text)
    return text


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ip_network(word)) for word in _words(text))


def _years(text: str) -> tuple[tuple[str, int], ...]:
    """`document=20 status=5` as pairs; KeyError for another kind, ValueError for no number of years."""
    pairs = [word.partition("=") for word in _words(text)]
    kinds = {kind: kind for kind in ("document", "status", "hub")}
    found = {kinds[kind]: int(years) for kind, _, years in pairs}
    if len(found) != len(pairs) or any(years < 1 for years in found.values()):
        raise ValueError(text)
    return tuple(found.items())


def _setting(default: Any, text: str, parse: Callable[[str], Any] = str) -> Any:
    return field(default=default, metadata={"text": text, "parse": parse})


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Every setting of the hub, with its default: an embedded hub under `var/hub`."""

    data_dir: Path = _setting(Path("var/hub"), "Where the embedded hub keeps everything", Path)
    database_url: str = _setting(
        "", "postgresql://user:password@host:port/name; empty: SQLite in the data directory"
    )
    broker_url: str = _setting(
        "", "amqp://user:password@host:port//; empty: an embedded queue in the data directory"
    )
    vault_dir: Path | None = _setting(
        None, "Where package bytes are kept; empty: in the data directory", Path
    )
    vault_bucket: str = _setting(
        "", "Bucket of an S3-compatible store that keeps the package bytes instead of a directory"
    )
    vault_endpoint: str = _setting("", "https://host:port of that store; empty: that of AWS")
    vault_access_key: str = _setting("", "Its access key; empty: found as the AWS tools do")
    vault_secret_key: str = _setting("", "Its secret key")
    keys_dir: Path | None = _setting(
        None, "Where the hub's own keys are kept; empty: in the data directory", Path
    )
    exports_dir: Path | None = _setting(
        None, "Where finished exports are kept, shared by web and workers; empty: in the data directory", Path
    )
    export_folder: Path | None = _setting(
        None, "Where scheduled exports are put for others to fetch; empty: they go by mail only", Path
    )
    trust_dir: Path | None = _setting(
        None, "PEM files of the trusted root and intermediate authorities", Path
    )
    secret_key: str = _setting(
        "", "Key of sessions and of credential hashes; empty: made on first start (embedded)"
    )
    code: str = _setting("HUB", "The code of this hub, the issuer named in its events and receipts")
    name: str = _setting("Trục liên thông văn bản", "The name of this hub, shown on its pages")
    base_url: str = _setting("http://127.0.0.1:8000", "The address under which clients reach the hub")
    allowed_hosts: tuple[str, ...] = _setting((), "Host names served besides that of the base URL", _words)
    bind: str = _setting("127.0.0.1", "The address the web process listens on")
    port: int = _setting(8000, "The port the web process listens on", int)
    web_processes: int = _setting(1, "Web processes", int)
    web_threads: int = _setting(16, "Threads of each web process; as many more wait for large bodies", int)
    max_waiters: int = _setting(
        4000, "Long polls held at once by one web process; more are answered at once", int
    )
    worker_threads: int = _setting(4, "Deliveries lanes worked on at once by one worker process", int)
    worker_megabytes: int = _setting(
        2048,
        "Memory that one worker process may take, in MB; a task that wants more fails; 0: any",
        int,
    )
    debug: bool = _setting(False, "Django's debug pages; never in production", _boolean)
    trusted_proxies: tuple[str, ...] = _setting(
        ("127.0.0.1", "::1"),
        "Addresses (CIDR) of the proxies whose word about the caller is believed",
        _networks,
    )
    requests_per_minute: int = _setting(
        30_000, "Requests one system may make in a minute, unless it has a limit of its own; 0: no limit", int
    )
    max_package_bytes: int = _setting(100_000_000, "Largest package taken, in bytes", int)
    isolate_bytes: int = _setting(
        1_000_000, "Packages above this size are examined in a process that can be killed", int
    )
    large_at_once: int = _setting(2, "Such packages one web process reads and examines at once", int)
    examine_seconds: int = _setting(30, "Processor time that examining one of them may take, in seconds", int)
    examine_megabytes: int = _setting(1536, "Memory that it may take, in MB", int)
    revocation_minutes: int = _setting(
        60, "How often the authorities are asked what they revoked, in minutes; 0: never", int
    )
    stale_revocation: str = _setting(
        "accept-and-mark",
        "When that is not known or past its next update: accept-and-mark or refuse",
        _policy,
    )
    token_seconds: int = _setting(3600, "Life of an access token, in seconds", int)
    push_networks: tuple[str, ...] = _setting(
        (), "Private networks (CIDR) that push may reach, plain http allowed there", _words
    )
    push_seconds: int = _setting(30, "Longest time one push may take, in seconds", int)
    push_read_seconds: int = _setting(
        20, "Longest silence of a receiver once it has the whole push, in seconds", int
    )
    lease_seconds: int = _setting(60, "How long a claim hides a delivery from other workers, in seconds", int)
    expiry_days: int = _setting(30, "Days after which a delivery not handed over expires", int)
    expiry_days_urgent: int = _setting(14, "The same for khẩn (priority 1)", int)
    expiry_days_very_urgent: int = _setting(7, "The same for thượng khẩn (priority 2)", int)
    expiry_days_express: int = _setting(3, "The same for hỏa tốc (priority 3, 4)", int)
    expiry_warning_days: int = _setting(
        3, "Days before expiry when the sender is warned, at most half of the time", int
    )
    urgent_minutes: int = _setting(
        30, "Minutes within which the receipt of an urgent document is to be confirmed", int
    )
    keep_events: tuple[tuple[str, int], ...] = _setting(
        (),
        "Calendar years after which the bodies of events are removed, by what they are about: "
        "document=20 status=10 hub=10; a kind not named, and by default everything, is kept for ever",
        _years,
    )
    keep_packages: tuple[tuple[str, int], ...] = _setting(
        (), "The same for the original bytes of packages: document=20 status=10", _years
    )
    tsa_url: str = _setting("", "RFC 3161 time-stamp authority that stamps the log's heads; empty: off")
    tsa_ca: Path | None = _setting(None, "PEM file with the root of the time-stamp authority", Path)
    tsa_minutes: int = _setting(10, "Minutes of activity after which the log's head is stamped again", int)
    witnesses: Path | None = _setting(
        None, "A file with one witness on each line: its verifier key, a space, its address; empty: off", Path
    )
    witnessed: Path | None = _setting(
        None, "A file with the keys of other hubs' logs that this hub witnesses, one a line; empty: off", Path
    )
    email_url: str = _setting(
        "", "smtp://user:password@host:port (smtps:// for TLS, smtp+tls:// for STARTTLS); empty: no e-mail"
    )
    email_from: str = _setting("", "The sender of the hub's e-mail; empty: truc@ the host of the base URL")
    request_days: int = _setting(
        3, "Working days in which a recall, update or replacement should be answered", int
    )
    sweep_seconds: int = _setting(5, "How often forgotten deliveries are looked for, in seconds", int)
    metrics_port: int = _setting(
        0, "The port of the Prometheus metrics, on HUB_METRICS_BIND; 0: no metrics", int
    )
    metrics_bind: str = _setting("127.0.0.1", "The address of the Prometheus metrics")
    vxp_paths: tuple[str, ...] = _setting(
        ("vxp", "vxp/XrdAdapter/adapter", "XrdAdapter/adapter"),
        "Paths under which clients of the national axis are served; - for none",
        _words,
    )
    vxp_lease_seconds: int = _setting(
        900, "How long `processing` hides an item from other pollers of the VXP face, in seconds", int
    )
    vxp_trace: bool = _setting(
        False, "getEdoc hands out a copy with this hub's TraceHeader; downloadEdoc the original", _boolean
    )
    security_log: Path | None = _setting(
        None, "A file for the security stream as JSON lines, besides the log; empty: none", Path
    )
    security_syslog: str = _setting(
        "", "Syslog for the security stream (RFC 5424): /dev/log, or host:port by UDP; empty: none"
    )
    uplink_seconds: int = _setting(
        30, "How often the hubs above are asked for what waits there, in seconds", int
    )
    keep_attempts_days: int = _setting(
        365, "Days for which attempts of finished deliveries are kept; their events stay", int
    )
    log_json: bool = _setting(False, "Logs as JSON lines instead of text", _boolean)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings of `environ`; raises SettingError naming the first mistake."""
        known = {f"HUB_{item.name.upper()}": item for item in fields(cls)}
        given = {name: value for name, value in environ.items() if _is_setting(name)}
        values = {}
        for name, value in given.items():
            item, text = _resolve(name, value, known)
            values[item.name] = _parse(name, text, item)
        return cls(**values)

    @property
    def vault(self) -> Path:
        """The directory of the package bytes."""
        return self.vault_dir or self.data_dir / "vault"

    @property
    def keys(self) -> Path:
        """The directory of the hub's own keys."""
        return self.keys_dir or self.data_dir / "keys"

    @property
    def metrics(self) -> Path:
        """The directory in which the processes of this machine count, when metrics are on."""
        return self.data_dir / "metrics"

    @property
    def exports(self) -> Path:
        """The directory of finished exports."""
        return self.exports_dir or self.data_dir / "exports"

    @property
    def embedded(self) -> bool:
        """True when the hub runs on its own SQLite file, without a database server."""
        return not self.database_url


def _is_setting(name: str) -> bool:
    return name.startswith("HUB_") and not name.startswith("HUB_TEST_")


def _resolve(name: str, value: str, known: Mapping[str, Field[Any]]) -> tuple[Field[Any], str]:
    if name in known:
        return known[name], value
    if name.endswith("_FILE") and (plain := name.removesuffix("_FILE")) in known:
        try:
            return known[plain], Path(value).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingError(f"{name}: cannot read {value}: {error.strerror}") from error
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SettingError(f"{name} is not a setting of this hub{hint}")


def _parse(name: str, text: str, item: Field[Any]) -> Any:
    if text == "" and item.default is not MISSING:
        return item.default
    try:
        return item.metadata["parse"](text)
    except (ValueError, KeyError) as error:
        raise SettingError(f"{name}: {text!r} is not a valid value ({item.metadata['text']})") from error


def table() -> str:
    """Every setting as a Markdown table, as docs/settings.md shows it."""
    rows = [
        f"| `HUB_{item.name.upper()}` | {_shown(item.default)} | {item.metadata['text']} |"
        for item in fields(Environment)
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _shown(default: object) -> str:
    if default in (None, "", ()):
        return ""
    if isinstance(default, tuple):
        return f"`{' '.join(default)}`"
    return f"`{int(default) if isinstance(default, bool) else default}`"
