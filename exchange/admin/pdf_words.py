"""A report on PDF signatures in words for clerks: one sentence for a file, a few lines for each signature."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from exchange.admin.looks import shown
from exchange.admin.standing import Phase
from exchange.models import PdfReport

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """Something said with an icon and a colour, and more lines about it."""

    words: str
    icon: str
    tone: str
    who: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileWords:
    """What is said about one file, and about each of its signatures."""

    summary: Words
    signatures: tuple[Words, ...] = ()


def files_of(report: PdfReport | None) -> dict[int, FileWords]:
    """The words for every PDF of a package by its number among the attachments; none before the report."""
    if report is None or not report.text:
        return {}
    return {file["number"]: _file(file) for file in json.loads(report.text)["files"]}


def waiting(report: PdfReport | None) -> bool:
    """Whether the report is still to come."""
    return report is not None and report.checked_at is None


def _file(file: Facts) -> FileWords:
    said = tuple(_signature(one) for one in file["signatures"])
    problem = {
        "encrypted": _("Tệp đặt mật khẩu: không đọc được chữ ký."),
        "unreadable": _("Tệp PDF hỏng: không đọc được hết chữ ký."),
        "too-large": _("Tệp quá lớn: chữ ký không được kiểm tra."),
        "too-costly": _("Kiểm tra tệp này tốn quá mức cho phép: kết quả có thể chưa đủ."),
    }.get(file["state"])
    if problem and not any(one.tone == Phase.FAILED for one in said):
        return FileWords(Words(problem, "gpp_maybe", Phase.LATE), said)
    return FileWords(_summary(said, problem or ""), said)


def _summary(said: tuple[Words, ...], problem: str) -> Words:
    """`1 trong 3 chữ ký bị hỏng`, and what else keeps the report from being whole."""
    total, more = len(said), (problem,) if problem else ()
    for tone, words, icon in (
        (Phase.FAILED, _("%(count)s trong %(total)s chữ ký bị hỏng"), "gpp_bad"),
        (Phase.LATE, _("%(count)s trong %(total)s chữ ký cần xem lại"), "gpp_maybe"),
    ):
        if count := sum(one.tone == tone for one in said):
            return Words(words % {"count": count, "total": total}, icon, tone, lines=more)
    if not total:
        return Words(_("Tệp không có chữ ký số"), "do_not_disturb_on", Phase.ENDED)
    return Words(_("%(total)s chữ ký, tất cả hợp lệ") % {"total": total}, "verified", Phase.ACCEPTED)


# --- one signature ------------------------------------------------------------------------------------


def _signature(facts: Facts) -> Words:
    if facts["state"] == "unreadable":
        return Words(_("Không đọc được chữ ký này"), "gpp_maybe", Phase.LATE)
    who, lines = _who(facts["signer"]), tuple(line for line in (_certificate(facts), _time(facts)) if line)
    if facts["state"] == "broken":
        words = _("Chữ ký bị hỏng: nội dung đã đổi sau khi ký, hoặc chữ ký không thuộc chứng thư này")
        return Words(words, "gpp_bad", Phase.FAILED, who, lines)
    doubts = _doubts(facts)
    if doubts:
        return Words("; ".join(doubts), "gpp_maybe", Phase.LATE, who, lines)
    words = {
        "file": _("Nguyên vẹn, bao trùm toàn bộ tệp"),
        "revision": _("Nguyên vẹn, bao trùm bản tại lúc ký; sau đó chỉ có thêm chữ ký hoặc mục biểu mẫu"),
    }[facts["covers"]]
    return Words(words, "verified", Phase.ACCEPTED, who, lines)


def _doubts(facts: Facts) -> list[str]:
    """What keeps an intact signature from being good, each as a few words."""
    trust = {
        "untrusted": _("chứng thư không thuộc tổ chức cấp mà trục tin cậy"),
        "expired": _("chứng thư đã hết hạn và không có dấu thời gian tin cậy từ trước đó"),
        "not-yet-valid": _("chứng thư chưa có hiệu lực"),
        "revoked": _("chứng thư đã bị thu hồi"),
    }
    found = [
        (facts["state"] == "weak", _("thuật toán băm đã lỗi thời")),
        (facts["covers"] == "part", _("chữ ký chỉ bao trùm một phần nội dung tại lúc ký")),
        (facts["later"] == "changed", _("sau khi ký, tệp còn được sửa ngoài việc ký thêm")),
        (facts["later"] == "unknown", _("không xác định được tệp đã thêm gì sau khi ký")),
        (facts["signer"]["trust"] in trust, trust.get(facts["signer"]["trust"], "")),
    ]
    return [words for holds, words in found if holds]


def _who(signer: Facts) -> str:
    kind = {"organisation": _("cơ quan, tổ chức"), "person": _("cá nhân")}.get(signer["kind"], "")
    known = (signer["name"], signer["organisation"], kind)
    return " · ".join(dict.fromkeys(part for part in known if part))


def _certificate(facts: Facts) -> str:
    words = {
        "good": _("chưa bị thu hồi theo dữ liệu đang lưu"),
        "stale": _("chưa bị thu hồi theo dữ liệu đã quá hạn cập nhật"),
        "unknown": _("trục chưa có dữ liệu thu hồi"),
        "none": _("nơi cấp không công bố dữ liệu thu hồi"),
    }
    known = _("Nơi cấp: %(issuer)s") % {"issuer": facts["signer"]["issuer"]}
    told = words.get(facts["signer"]["revocation"])
    return f"{known}; {told}" if told else known


def _time(facts: Facts) -> str:
    stamp, claimed = facts["stamp"], facts["claimed_at"]
    if stamp and stamp["at"] and stamp["state"] == "intact":
        sound = facts["type"] == "timestamp" or stamp["signer"]["trust"] == "trusted"
        words = _("Dấu thời gian: %(at)s") if sound else _("Dấu thời gian của nơi chưa tin cậy: %(at)s")
        return words % {"at": _shown(stamp["at"])}
    told = _("Ký lúc %(at)s theo lời người ký") % {"at": _shown(claimed)} if claimed else ""
    return f"{told}; {_('dấu thời gian bị hỏng')}" if stamp and told else told


def _shown(moment: str) -> str:
    return shown(datetime.fromisoformat(moment))
