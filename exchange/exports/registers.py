"""The registers of NĐ 30/2020/NĐ-CP, Phụ lục IV: sổ đăng ký văn bản đi, sổ đăng ký văn bản đến.

What only the agency knows (its own arrival number, who got the paper, signatures) stays blank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agencies.directory import Agency
from exchange.exports.cells import Cell, Column, Source
from exchange.exports.filters import Filter
from exchange.exports.pdf import Cover
from exchange.models import Answer, BusinessType, Delivery, Package, State
from exchange.workdays import day_of

BLANK = "……"  # for the clerk to fill in
NAMES = 30  # recipients named in one cell; the rest is counted
_OWN = (BusinessType.NEW, BusinessType.REPLACE)
_CLOSED = {State.WITHDRAWN: "thu hồi", State.EXPIRED: "hết hạn giao", State.UNDELIVERABLE: "không giao được"}


@dataclass(slots=True)
class Register(Source):
    """What both have."""

    chosen: Filter
    agency: Agency
    title: str = ""


@dataclass(slots=True)
class Outgoing(Register):
    """Documents that `agency` sent in the period, by the day on which the hub took them."""

    columns: Sequence[Column] = (
        Column("Số, ký hiệu văn bản", 21),
        Column("Ngày tháng văn bản", 12),
        Column("Tên loại và trích yếu nội dung văn bản", 40),
        Column("Người ký", 17),
        Column("Nơi nhận văn bản", 38),
        Column("Đơn vị, người nhận bản lưu", 12),
        Column("Số lượng bản", 8),
        Column("Ngày chuyển", 12),
        Column("Ký nhận", 9),
        Column("Ghi chú", 14),
    )
    title: str = "SỔ ĐĂNG KÝ VĂN BẢN ĐI"

    def found(self) -> Sequence[QuerySet[Package]]:
        """In the order in which they left."""
        rows = Package.objects.filter(sender=self.agency, business_type__in=_OWN)
        if self.chosen.begins:
            rows = rows.filter(accepted_at__gte=self.chosen.begins)
        if self.chosen.ends:
            rows = rows.filter(accepted_at__lt=self.chosen.ends)
        return [rows.order_by("accepted_at", "id")]

    def rows(self, keys: Sequence[UUID]) -> list[list[Cell]]:
        """Two queries for a page."""
        found = Package.objects.in_bulk(list(keys))
        deliveries: dict[UUID, list[Any]] = {}
        named = Delivery.objects.filter(package__in=list(keys)).order_by("pk")
        for package, name, state, answer in named.values_list(
            "package", "recipient__name", "state", "answer"
        ):
            deliveries.setdefault(package, []).append((name, state, answer))
        return [_outgoing(found[key], deliveries.get(key, [])) for key in keys if key in found]


def _outgoing(package: Package, recipients: Sequence[tuple[str, str, str]]) -> list[Cell]:
    names = "; ".join(name for name, _, _ in recipients[:NAMES])
    if len(recipients) > NAMES:
        names += f"; … và {len(recipients) - NAMES} nơi khác"
    notes = [
        *(
            f"{_count(recipients, state)} {words}"
            for state, words in _CLOSED.items()
            if _count(recipients, state)
        ),
        *(
            [f"{refused} từ chối"]
            if (refused := sum(answer == Answer.REFUSED for *_, answer in recipients))
            else []
        ),
    ]
    day, what = package.promulgated_on, _what(package.type_name, package.subject)
    sent = day_of(package.accepted_at)
    return [package.code, day, what, package.signed_by, names, "", package.copies, sent, "", "; ".join(notes)]


def _count(recipients: Sequence[tuple[str, str, str]], state: str) -> int:
    return sum(found == state for _, found, _ in recipients)


@dataclass(slots=True)
class Incoming(Register):
    """Documents that were handed over to the system of `agency` in the period."""

    columns: Sequence[Column] = (
        Column("Ngày đến", 12),
        Column("Số đến", 8),
        Column("Tác giả", 27),
        Column("Số, ký hiệu văn bản", 21),
        Column("Ngày tháng văn bản", 12),
        Column("Tên loại và trích yếu nội dung văn bản", 44),
        Column("Đơn vị hoặc người nhận", 14),
        Column("Ngày chuyển", 12),
        Column("Ký nhận", 9),
        Column("Ghi chú", 16),
    )
    title: str = "SỔ ĐĂNG KÝ VĂN BẢN ĐẾN"

    def found(self) -> Sequence[QuerySet[Delivery]]:
        """In the order in which they came."""
        rows = Delivery.objects.carrying().filter(recipient=self.agency, handed_over_at__isnull=False)
        if self.chosen.begins:
            rows = rows.filter(handed_over_at__gte=self.chosen.begins)
        if self.chosen.ends:
            rows = rows.filter(handed_over_at__lt=self.chosen.ends)
        return [rows.order_by("handed_over_at", "id")]

    def rows(self, keys: Sequence[UUID]) -> list[list[Cell]]:
        """One query for a page."""
        found = Delivery.objects.select_related("package__sender").in_bulk(list(keys))
        return [_incoming(found[key]) for key in keys if key in found]


def _incoming(delivery: Delivery) -> list[Cell]:
    package, at = delivery.package, delivery.handed_over_at
    notes = [words for words in (_CLOSED.get(State(delivery.state), ""), _answered(delivery)) if words]
    return [
        day_of(at) if at else None,
        "",
        package.sender.name,
        package.code,
        package.promulgated_on,
        _what(package.type_name, package.subject),
        "",
        "",
        "",
        "; ".join(notes),
    ]


def _answered(delivery: Delivery) -> str:
    return "từ chối tiếp nhận" if delivery.answer == Answer.REFUSED else ""


def _what(type_name: str, subject: str) -> str:
    return ": ".join(part for part in (type_name, subject) if part)


def cover(register: Register) -> Cover:
    """The prescribed title page: what only the agency knows is left to be filled in."""
    agency, chosen = register.agency, register.chosen
    year = str(chosen.since.year) if chosen.since else BLANK
    return Cover(
        above=agency.parent.name.upper() if agency.parent else "",
        agency=agency.name.upper(),
        title=register.title,
        lines=[
            f"Năm: {year}",
            f"Từ ngày {_day(chosen.since)} đến ngày {_day(chosen.until)}",
            f"Từ số {BLANK} đến số {BLANK}",
            f"Quyển số: {BLANK}",
        ],
    )


def _day(day: date | None) -> str:
    return day.strftime("%d/%m/%Y") if day else BLANK
