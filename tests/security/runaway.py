"""A task that takes memory without end, and one that shows that its worker is still there."""

from pathlib import Path

from exchange.celery import app


@app.task(name="tests.security.runaway.run_away")
def run_away(file: str) -> None:
    """Take what there is; a file says how many megabytes that was."""
    taken: list[bytes] = []
    try:
        while len(taken) < 2_000:
            taken.append(bytes(1 << 20))
    finally:
        Path(file).write_text(str(len(taken)))


@app.task(name="tests.security.runaway.live_on")
def live_on(file: str) -> None:
    """Make a file."""
    Path(file).touch()
