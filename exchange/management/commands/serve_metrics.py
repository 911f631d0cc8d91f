"""`manage.py serve_metrics`: the Prometheus metrics, on a port of their own."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from exchange.gauges import Gauges
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Serve the metrics until a signal."""

    help = (
        "Serve what all processes of this machine counted, and the state of the hub, to Prometheus on "
        "HUB_METRICS_BIND:HUB_METRICS_PORT until SIGTERM or Ctrl-C. Keep that port away from the network."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError when metrics are off or the port is taken."""
        environment, stop = settings.ENVIRONMENT, threading.Event()
        if not environment.metrics_port:
            raise CommandError("HUB_METRICS_PORT chưa được đặt. / HUB_METRICS_PORT is not set.")
        try:
            server, thread = start_http_server(environment.metrics_port, environment.metrics_bind, registry())
        except OSError as error:
            raise CommandError(
                f"{environment.metrics_bind}:{environment.metrics_port}: {error.strerror}"
            ) from error
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
        server.shutdown()
        thread.join()


def registry() -> CollectorRegistry:
    """Everything that is shown: the counters of all processes, and the gauges."""
    made = CollectorRegistry()
    MultiProcessCollector(made, path=str(settings.ENVIRONMENT.metrics))  # type: ignore[no-untyped-call]
    made.register(Gauges())
    return made
