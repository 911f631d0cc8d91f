"""The list of benches; each takes the stage and gives rows."""

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

from tests.bench import accept, deliver, evidence, exports, resources, vxp
from tests.bench.rows import Row
from tests.bench.stage import Stage, running

Measure = Callable[[Stage], Sequence[Row]]
# In this order: memory before any load, and the last one stops the hub.
ON_ONE_STAGE: tuple[Measure, ...] = (
    resources.memory,
    resources.demo,
    accept.packages,
    deliver.pushes,
    deliver.pulls,
    deliver.latency,
    vxp.clients,
    resources.large,
    evidence.sealing_lag,
    evidence.append_cost,
    evidence.catch_up,
    evidence.verifier,
    exports.trails,
    resources.pages,
    resources.claims,
)


def run(only: str, seconds: float) -> Iterator[Row]:
    """The rows of every measure whose module or name has `only` in it; after `seconds` none is begun."""
    chosen = [one for one in ON_ONE_STAGE if only in f"{one.__module__}.{one.__name__}"]
    began = time.monotonic()
    with running() as stage:
        for measure in chosen:
            passed = time.monotonic() - began
            if passed > seconds:
                yield Row(measure.__name__, 0, "", failed=f"not begun within {seconds:.0f} s")
                continue
            sys.stderr.write(
                f"… {passed:4.0f} s: {measure.__module__.rpartition('.')[2]}.{measure.__name__}\n"
            )
            yield from _rows(measure, stage)


def _rows(measure: Measure, stage: Stage) -> Sequence[Row]:
    """A measure that fails is a row too: the others still run."""
    try:
        return measure(stage)
    except Exception as error:  # noqa: BLE001 - shown, and the run ends with exit code 1
        traceback.print_exc()
        return [Row(measure.__name__, 0, "", failed=f"{type(error).__name__}: {error}")]
