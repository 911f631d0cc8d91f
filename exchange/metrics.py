"""What each process counts while it works, for Prometheus. What the database knows is in `gauges.py`.

With HUB_METRICS_PORT set, the processes of one machine count in files of one directory (see settings.py)
and `manage.py serve_metrics` adds them up; without it they count in their own memory, which nobody reads.
Every metric has a label: one without would leave a file for each command that is ever run.
"""

from pathlib import Path

from prometheus_client import Counter, Histogram

REQUESTS = Counter("hub_requests", "Requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "hub_request_seconds",
    "Time until the answer of a request began",
    ["route"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFUSALS = Counter("hub_refusals", "Answers that say no, by the code of the catalogue", ["code"])
PACKAGES = Counter(
    "hub_packages", "Packages accepted, by what their signature is worth", ["kind", "signature"]
)
EVENTS = Counter(
    "hub_events", "Events committed to the audit log: deliveries by result, among others", ["event"]
)
ATTEMPTS = Counter("hub_attempts", "Pushes that ended, by how", ["outcome"])
NOTICES = Counter("hub_notices", "Inbox notices that ended, by how", ["result"])
RETRIES = Counter("hub_retries", "Pushes that failed and will be tried again", ["lane"])
SECURITY_EVENTS = Counter("hub_security_events", "Lines of the security stream", ["event"])


def forget(directory: Path) -> None:
    """Begin to count anew: the processes that counted in `directory` are gone, and no other has begun."""
    for file in directory.glob("*.db"):
        file.unlink()
