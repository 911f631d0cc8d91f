"""A line of the table of benches."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, its target, and the floor of the same run where there is one."""

    name: str
    value: float
    unit: str
    target: str = ""
    floor: float | None = None
    failed: str = ""

    @property
    def ratio(self) -> float | None:
        """The share of the floor that was reached."""
        return self.value / self.floor if self.floor else None


_LINE = "| {:<44} | {:>12} | {:<34} | {:>12} | {:>8} |"


def table(rows: Sequence[Row], *, heading: bool = False) -> str:
    """`rows` as Markdown."""
    head = [_LINE.format("measure", "value", "target", "floor", "of floor"), _LINE.format(*["---"] * 5)]
    return "\n".join([*(head if heading else []), *map(_line, rows)])


def _line(row: Row) -> str:
    if row.failed:
        return _LINE.format(row.name, "FAILED", row.failed[:34], "", "")
    floor = f"{row.floor:,.1f}" if row.floor else ""
    ratio = f"{row.ratio:.0%}" if row.ratio else ""
    return _LINE.format(row.name, f"{row.value:,.1f} {row.unit}", row.target, floor, ratio)
