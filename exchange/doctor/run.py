"""Look at everything, one part after the other; without a database the parts that need it are left out."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from django.db import DatabaseError

from exchange.doctor import database, machine, processes, trust
from exchange.doctor.faults import Finding

Look = Callable[[], Iterator[Finding]]

PARTS: Mapping[str, Look] = MappingProxyType(
    {
        "machine": machine.look,
        "database": database.look,
        "trust": trust.look,
        "broker": processes.broker,
        "web": processes.web,
        "workers": processes.workers,
        "sealer": processes.sealer,
        "operation": processes.operation,
        "log": processes.log,
    }
)
_WITHOUT_DATABASE = ("machine", "broker", "web")


def examine() -> dict[str, list[Finding]]:
    """The findings of each part that could be looked at; an empty list is a healthy part."""
    if down := list(database.reachable()):
        found = {name: list(PARTS[name]()) for name in _WITHOUT_DATABASE}
        return {"database": down, **found}
    return {name: _look(name) for name in PARTS}


def _look(name: str) -> list[Finding]:
    """The findings of one part. Before the migrations of new code a table may not be there yet: say that."""
    try:
        return list(PARTS[name]())
    except DatabaseError as error:
        code = "migrations.missing" if any(database.migrations()) else "database.down"
        return [Finding(code, f"{name}: {str(error).strip().splitlines()[0]}")]
