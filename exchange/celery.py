"""The Celery application: the alarm clock of the delivery queue. The rows of the database are the queue."""

import os
import resource
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import beat_init, worker_init
from django.conf import settings
from django.utils.log import configure_logging
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")

from exchange.environment import Environment

TRANSPORT_ALIASES["hub-files"] = "exchange.broker:Transport"
LANES = ("status", "express", "urgent", "normal", "bulk")
HOUSEKEEPING = "housekeeping"
EXPORTS = "exports"
WATCHED = (*LANES, HOUSEKEEPING, EXPORTS)
"""The queues that need a worker."""
AWAY = {"max_retries": 1, "interval_start": 0}
"""Whoever wakes a worker asks a broker that is away once more, at once, and not for seconds: the work is
found without it."""


def _transport(environment: Environment) -> dict[str, Any]:
    if environment.broker_url:
        return {"broker_url": environment.broker_url, "broker_transport_options": AWAY}
    messages, control = (environment.data_dir / "broker" / name for name in ("messages", "control"))
    for folder in (messages, control):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "broker_url": "hub-files://localhost",
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
            "polling_interval": 0.05,
        },
    }


def queue(lane: str) -> str:
    """The name of the queue that wakes the workers of `lane`."""
    return f"hub.{lane}"


environment = Environment.read(os.environ)
_CONFIGURATION: dict[str, Any] = dict(
    **_transport(environment),
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue=queue(HOUSEKEEPING),
    task_default_queue_type="quorum",
    task_queues=[Queue(queue(name), queue_arguments={"x-queue-type": "quorum"}) for name in WATCHED],
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
    timezone="Asia/Ho_Chi_Minh",
    beat_scheduler="exchange.scheduler:Scheduler",
    beat_schedule_filename=str(environment.data_dir / "celerybeat-schedule"),
    beat_schedule={
        "sweep": {
            "task": "exchange.tasks.sweep",
            "schedule": environment.sweep_seconds,
            "options": {"expires": 30},
        },
        "uplinks": {
            "task": "exchange.tasks.collect_from_above",
            "schedule": environment.uplink_seconds,
            "options": {"expires": environment.uplink_seconds},
        },
        "directories_above": {
            "task": "exchange.tasks.read_directories_above",
            "schedule": 3600,
            "options": {"expires": 3600},
        },
        "clocks": {
            "task": "exchange.tasks.look_at_clocks",
            "schedule": 60,
            "options": {"expires": 60},
        },
        **{
            f"beat.{name}": {
                "task": "exchange.tasks.beat",
                "schedule": 10,
                "args": [name],
                "options": {"queue": queue(name), "expires": 10},
            }
            for name in WATCHED
        },
        "anchor_log": {
            "task": "exchange.tasks.anchor_log",
            "schedule": 60,
            "options": {"expires": 60},
        },
        "apply_retention": {
            "task": "exchange.tasks.apply_retention",
            "schedule": 86_400,
            "options": {"expires": 3600},
        },
        "exports": {
            "task": "exchange.tasks.look_after_exports",
            "schedule": 60,
            "options": {"expires": 60},
        },
        "pdf_signatures": {
            "task": "exchange.tasks.report_pdf_signatures",
            "schedule": 20,
            "options": {"queue": queue(EXPORTS), "expires": 20},
        },
        "tidy": {
            "task": "exchange.tasks.tidy",
            "schedule": crontab(hour=2, minute=30),
            "options": {"expires": 3600},
        },
        **(
            {
                "refresh_revocation": {
                    "task": "exchange.tasks.refresh_revocation",
                    "schedule": 300,
                    "options": {"expires": 300},
                }
            }
            if environment.revocation_minutes
            else {}
        ),
        "check_log": {
            "task": "exchange.tasks.check_log",
            "schedule": 60,
            "options": {"expires": 60},
        },
    },
)
app = Celery("exchange")
app.conf.update(_CONFIGURATION)
app.autodiscover_tasks(["exchange"])
# The scheduler only says when: it needs neither the tasks nor Django, and a third of the memory without them.
scheduler = Celery("exchange", fixups=[], set_as_current=False)
scheduler.conf.update(_CONFIGURATION)
# Of no use to a worker, whose findings nobody reads: the checks load every page.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")


@beat_init.connect
def log_alike(**_kwargs: Any) -> None:
    """The scheduler's lines look like those of the processes that Django sets up."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


@worker_init.connect
def limit_memory(**_kwargs: Any) -> None:
    """A task that runs away gets MemoryError and fails; what it had claimed is due again after its lease.

    (Celery's own limit for each child does nothing for threads.)
    """
    if megabytes := environment.worker_megabytes:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, hard))
