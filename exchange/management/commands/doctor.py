"""`manage.py doctor`: what is wrong with this hub, and what to do about it."""

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from exchange.doctor import run
from exchange.doctor.faults import Finding
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Look at the whole hub."""

    help = (
        "Look at machine, settings, database, keys, broker, processes and log; say what is wrong and what to "
        "do. Exit code: 0 healthy, 1 something grave, 2 only warnings."
    )
    requires_system_checks = ()  # they are part of what it looks at

    def add_arguments(self, parser: CommandParser) -> None:
        """--json."""
        parser.add_argument("--json", action="store_true", help="for a machine")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print; the exit code is the verdict."""
        parts = run.examine()
        found = [finding for findings in parts.values() for finding in findings]
        code = 1 if any(item.fault.grave for item in found) else 2 if found else 0
        self.stdout.write(_json(parts, code) if options["json"] else _text(parts))
        if code:
            sys.exit(code)


def _json(parts: dict[str, list[Finding]], code: int) -> str:
    state = {0: "healthy", 1: "failed", 2: "warning"}[code]
    shown = {name: [_described(item) for item in findings] for name, findings in parts.items()}
    return json.dumps({"state": state, "version": settings.VERSION, "parts": shown}, ensure_ascii=False)


def _described(item: Finding) -> dict[str, object]:
    fault = item.fault
    return {
        "code": item.code,
        "grave": fault.grave,
        "seen": item.seen,
        "what": {"vi": fault.vi, "en": fault.en},
        "todo": {"vi": fault.todo_vi, "en": fault.todo_en},
    }


def _text(parts: dict[str, list[Finding]]) -> str:
    lines = [f"Trục {settings.VERSION}"]
    for name, findings in parts.items():
        lines.append(f"{'✓' if not findings else '✗'} {name}")
        for item in findings:
            fault = item.fault
            lines += [
                f"    {'LỖI' if fault.grave else 'chú ý'} {item.code}: {fault.vi} / {fault.en}",
                f"      {item.seen}",
                f"      → {fault.todo_vi}",
                f"      → {fault.todo_en}",
            ]
    return "\n".join(lines)
