"""`kill -9` in the middle: nothing accepted is lost, nothing is handed over twice in the books."""

from pathlib import Path

from tests import live, receiver
from tests.failures.trial import Trial, documents, kill_at_random
from tests.world import Keys, World

KILLED = ("worker", "web", "scheduler", "sealer", "worker", "web")


def test_kill_9_of_any_process_loses_and_doubles_nothing(tmp_path: Path, keys: Keys) -> None:
    city = World(keys)
    with receiver.running() as endpoint, live.running(tmp_path, keys, endpoint.url) as hub:
        trial = Trial(hub, city, endpoint)
        trial.run(documents(city, 100), kill_at_random(hub, KILLED, times=6, pause=0.8))


def test_a_hub_killed_with_its_supervisor_goes_on_where_it_was(tmp_path: Path, keys: Keys) -> None:
    city = World(keys)
    with receiver.running() as endpoint, live.running(tmp_path, keys, endpoint.url) as hub:
        trial = Trial(hub, city, endpoint)

        def disturb() -> None:
            hub.supervisor.kill()
            hub.supervisor.wait()
            hub.start()

        trial.run(documents(city, 40), disturb)
