"""`manage.py index_attachments`: let /kiem-tra know the files in packages of an older version."""

import sys
from typing import Any

from exchange.exports import attached
from exchange.management.command import HubCommand


class Command(HubCommand):
    """Index them."""

    help = (
        "Read the attachments of documents whose files have no digest noted (taken before the hub knew "
        "/kiem-tra), so that whoever holds one of them finds the document there. Beside a running hub, in "
        "small commits; run it again after a stop. Packages whose bytes are gone are counted and left out."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and count."""
        outcome = attached.index(self._progress if sys.stderr.isatty() else lambda done: None)
        self.stdout.write(
            f"{outcome.packages} văn bản, {outcome.files} tệp, {outcome.unread} không đọc được. / "
            f"{outcome.packages} documents, {outcome.files} files, {outcome.unread} could not be read."
        )

    def _progress(self, done: int) -> None:
        self.stderr.write(f"\r{done}", ending="")
