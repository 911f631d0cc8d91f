"""What the database itself refuses: a state change without its event, and any change of what is evidence.

Triggers, in the dialect of PostgreSQL and of SQLite. SQLite drops a table's triggers when Django rebuilds
the table, so a migration that alters one of these tables ends with `install` again (a test looks).
"""

import re

from django.db.backends.base.base import BaseDatabaseWrapper

Rule = tuple[str, str, str, str]  # table, name, when it fires, the condition under which it refuses
STATE = ("state", "answer", "request", "request_state")
_INSERT_ONLY = (
    "exchange_anchor", "exchange_checkpoint", "exchange_event", "exchange_eventbody", "exchange_logentry",
    "exchange_pending", "exchange_redacted", "exchange_sealheader", "exchange_storedreceipt",
)  # fmt: skip
_NEVER_DELETED = (
    "exchange_anchor", "exchange_checkpoint", "exchange_delivery", "exchange_event", "exchange_log",
    "exchange_logentry", "exchange_package", "exchange_redacted", "exchange_redactionorder",
    "exchange_sealheader", "exchange_storedreceipt", "exchange_tile", "exchange_witnessedlog",
)  # fmt: skip
_TABLE = re.compile(r"exchange_[a-z]+")
_TILE_HASHES = 256  # in a full tile
_LOG_FIXED = ("origin", "key", "year")
_PACKAGE_FIXED = (
    "sha256", "size", "kind", "business_type", "status_code", "sender_id", "sender_code", "system_id",
    "document_id", "number", "notation", "promulgated_on", "subject", "about_id", "signature_state",
    "accepted_at", "signer", "signer_fingerprint", "signature_problem", "priority", "due_on", "type_name",
    "code_folded", "signed_by", "copies", "signature_evidence",
)  # fmt: skip
_DELIVERY_FIXED = ("package_id", "recipient_id", "recipient_code")


def install(connection: BaseDatabaseWrapper) -> None:
    """Create every guard anew; safe to run again."""
    remove(connection)
    make = _postgresql if connection.vendor == "postgresql" else _sqlite
    _run(connection, make(_present(connection)))


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the guards away: for the reverse of a migration, and for tests that empty the tables."""
    if connection.vendor == "postgresql":
        present = _present(connection)
        drops = [f"DROP TRIGGER IF EXISTS {name} ON {table}" for table, name, _, _ in present]
        functions = [f"DROP FUNCTION IF EXISTS {name}_guard()" for _, name, _, _ in _rules()]
        _run(connection, drops + functions)
    else:
        _run(connection, [f"DROP TRIGGER IF EXISTS {name}" for _, name, _, _ in _rules()])


def names() -> set[str]:
    """The names of all guards, for the test that looks whether they are there."""
    return {name for _, name, _, _ in _rules()}


def _present(connection: BaseDatabaseWrapper) -> list[Rule]:
    """The guards whose tables exist: an early migration installs those that it can."""
    tables = set(connection.introspection.table_names())
    return [rule for rule in _rules() if {rule[0], *_TABLE.findall(rule[3])} <= tables]


def _rules() -> list[Rule]:
    """Each guard as (table, name, when it fires, the condition under which it refuses)."""
    return [
        ("exchange_delivery", "delivery_insert_has_event", "INSERT", f"NOT EXISTS ({_event_of_delivery()})"),
        (
            "exchange_delivery",
            "delivery_update_has_event",
            f"UPDATE OF {', '.join((*STATE, 'seq', 'head'))}",
            f"({_state_moved()}) AND (NEW.seq <> OLD.seq + 1 OR NOT EXISTS ({_event_of_delivery()}))",
        ),
        ("exchange_package", "package_insert_has_event", "INSERT", f"NOT EXISTS ({_event_of_package()})"),
        ("exchange_package", "package_is_fixed", "UPDATE", _differs(_PACKAGE_FIXED)),
        (
            "exchange_delivery",
            "delivery_is_fixed",
            f"UPDATE OF {', '.join(_DELIVERY_FIXED)}",
            _differs(_DELIVERY_FIXED),
        ),
        (
            "exchange_pending",
            "pending_until_in_log",
            "DELETE",
            "NOT EXISTS (SELECT 1 FROM exchange_logentry l WHERE l.event_id = OLD.event_id)",
        ),
        ("exchange_eventbody", "eventbody_never_deleted", "DELETE", _still_needed()),
        ("exchange_redacted", "redacted_by_redaction", "INSERT", f"NOT EXISTS ({_redaction()})"),
        ("exchange_redactionorder", "redactionorder_decided_once", "UPDATE", "OLD.decided_at IS NOT NULL"),
        ("exchange_tile", "tile_only_grows", "UPDATE", _tile_changed()),
        ("exchange_witnessedlog", "witnessedlog_only_grows", "UPDATE", "NEW.size < OLD.size"),
        ("exchange_log", "log_only_grows", "UPDATE", f"NEW.size < OLD.size OR {_moved(_LOG_FIXED)}"),
        *((table, f"{_short(table)}_never_changed", "UPDATE", "TRUE") for table in _INSERT_ONLY),
        *((table, f"{_short(table)}_never_deleted", "DELETE", "TRUE") for table in _NEVER_DELETED),
    ]


def _differs(columns: tuple[str, ...]) -> str:
    return " OR ".join(f"NEW.{column} {{differs}} OLD.{column}" for column in columns)


def _event_of_delivery() -> str:
    states = " AND ".join(f"e.{column} = NEW.{column}" for column in STATE)
    return f"{_event_of_package()} AND {states}"


def _event_of_package() -> str:
    return "SELECT 1 FROM exchange_event e WHERE e.stream = NEW.id AND e.seq = NEW.seq"


def _state_moved() -> str:
    return _moved((*STATE, "seq"))


def _moved(columns: tuple[str, ...]) -> str:
    return " OR ".join(f'NEW."{column}" <> OLD."{column}"' for column in columns)


def _tile_changed() -> str:
    """A full tile changed, or a partial one other than by appending hashes."""
    start = "substr(NEW.data, 1, length(OLD.data)) <> OLD.data"
    return f"OLD.width = {_TILE_HASHES} OR {start} OR {_moved(('log_id', 'level', 'index'))}"


def _still_needed() -> str:
    """The event is in no log, or a log that it is in has no Redaction that names it."""
    entries = "SELECT 1 FROM exchange_logentry l WHERE l.event_id = OLD.event_id"
    named = "SELECT 1 FROM exchange_redacted r WHERE r.entry_id = l.id"
    return f"NOT EXISTS ({entries}) OR EXISTS ({entries} AND NOT EXISTS ({named}))"


def _redaction() -> str:
    return "SELECT 1 FROM exchange_event e WHERE e.id = NEW.by_id AND e.name = 'Redaction'"


def _short(table: str) -> str:
    return table.removeprefix("exchange_")


def _postgresql(rules: list[Rule]) -> list[str]:
    statements = []
    for table, name, when, refuses in rules:
        row = "OLD" if when == "DELETE" else "NEW"
        statements += [
            f"""CREATE FUNCTION {name}_guard() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {refuses.format(differs="IS DISTINCT FROM")} THEN
                    RAISE EXCEPTION '{name}' USING ERRCODE = 'integrity_constraint_violation';
                END IF;
                RETURN {row};
            END $$""",
            f"CREATE TRIGGER {name} BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}_guard()",
        ]
    return statements


def _sqlite(rules: list[Rule]) -> list[str]:
    return [
        f"CREATE TRIGGER {name} BEFORE {when} ON {table} FOR EACH ROW "
        f"BEGIN SELECT RAISE(ABORT, '{name}') WHERE {refuses.format(differs='IS NOT')}; END"
        for table, name, when, refuses in rules
    ]


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
