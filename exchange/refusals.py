"""Every reason the hub has to say no: code, HTTP status, VXP error code, and what to tell a person.

A code is never reused for another meaning. Texts say what happened, why, and what to do next; words in
braces are facts that the raiser must give. Pure: nothing here knows Django.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

Fact = str | int


@dataclass(frozen=True, slots=True)
class Reason:
    """One entry of the catalogue. `vxp` is the error code that clients of the national axis know."""

    code: str
    status: int
    vxp: str
    title_vi: str
    title_en: str
    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason applied to one place: what was found (`facts`), and where in the package.

    A fact `why` may have an English twin `why_en`, used in the English text.
    """

    code: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    xpath: str = ""
    line: int = 0

    def __post_init__(self) -> None:
        CATALOGUE[self.code]  # a misspelt code must fail where it is raised, not where it is shown

    def detail(self, language: str = "vi") -> str:
        """The text for a person in `language` ("vi" or "en")."""
        reason = CATALOGUE[self.code]
        if language != "en":
            return reason.vi.format_map(_Facts(self.facts))
        english = {
            name.removesuffix("_en"): value for name, value in self.facts.items() if name.endswith("_en")
        }
        return reason.en.format_map(_Facts({**self.facts, **english}))

    def title(self, language: str = "vi") -> str:
        """The short name of the reason in `language`."""
        reason = CATALOGUE[self.code]
        return reason.title_en if language == "en" else reason.title_vi


class Refused(Exception):
    """The hub says no, for one or more problems found together; the first one names the refusal.

    `Refused("recipient.unknown", organ="H29.99")` is the short form for one problem.
    """

    def __init__(
        self, code: str | Sequence[Problem], *, xpath: str = "", line: int = 0, **facts: Fact
    ) -> None:
        if isinstance(code, str):
            self.problems: tuple[Problem, ...] = (Problem(code, facts, xpath, line),)
        else:
            self.problems = tuple(code)
        super().__init__(self.code)

    @property
    def code(self) -> str:
        """The code of the first problem."""
        return self.problems[0].code

    @property
    def reason(self) -> Reason:
        """The catalogue entry of the first problem."""
        return CATALOGUE[self.code]

    def __str__(self) -> str:
        return "; ".join(f"{p.code}: {p.detail('en')}" for p in self.problems)


class _Facts(dict[str, Fact]):
    """A fact that the raiser forgot is shown as its name; a text for a person must never crash."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


_ENTRIES = (
    # --- the bytes and the format -------------------------------------------------------------------------
    Reason(
        "package.too-large",
        413,
        "10",
        "Gói tin quá lớn",
        "The package is too large",
        "Gói tin dài {size} byte, vượt giới hạn {limit} byte. Hãy giảm dung lượng tệp đính kèm hoặc tách văn bản rồi gửi lại.",
        "The package has {size} bytes, more than the limit of {limit}. Reduce its attachments or split it, then send it again.",
    ),
    Reason(
        "package.not-xml",
        400,
        "22",
        "Không phải XML hợp lệ",
        "Not well-formed XML",
        "Nội dung gửi lên không phải XML UTF-8 đúng cú pháp: {why}. Hãy gửi nguyên văn tệp .edxml.",
        "The body is not well-formed UTF-8 XML: {why}. Send the .edxml file as it is.",
    ),
    Reason(
        "package.forbidden-construct",
        400,
        "22",
        "Cấu trúc XML bị cấm",
        "Forbidden XML construct",
        "Gói tin chứa cấu trúc không được phép ({construct}). Hãy bỏ cấu trúc này, ký lại và gửi lại.",
        "The package contains a construct that is not allowed ({construct}). Remove it, sign again and send again.",
    ),
    Reason(
        "package.not-edxml",
        400,
        "22",
        "Không phải gói tin edXML",
        "Not an edXML package",
        "XML này không phải gói tin edXML theo QCVN 102:2016: {why}.",
        "This XML is not an edXML package of QCVN 102:2016: {why}.",
    ),
    Reason(
        "package.field-missing",
        422,
        "22",
        "Thiếu thông tin bắt buộc",
        "A required field is missing",
        "Thiếu trường bắt buộc {name}. Hãy bổ sung và gửi lại.",
        "The required field {name} is missing. Add it and send again.",
    ),
    Reason(
        "package.field-invalid",
        422,
        "22",
        "Thông tin không hợp lệ",
        "A field is not valid",
        "Trường {name} không hợp lệ: {why}. Hãy sửa và gửi lại.",
        "The field {name} is not valid: {why}. Correct it and send again.",
    ),
    Reason(
        "package.attachment-broken",
        422,
        "21",
        "Tệp đính kèm bị hỏng",
        "A broken attachment",
        "Không đọc được tệp đính kèm “{name}”: {why}. Hãy đính kèm lại và gửi lại.",
        "The attachment “{name}” cannot be read: {why}. Attach it again and send again.",
    ),
    Reason(
        "package.too-costly",
        422,
        "10",
        "Gói tin tốn quá nhiều tài nguyên",
        "The package costs too much to read",
        "Đọc và kiểm tra gói tin cần hơn {seconds} giây xử lý hoặc {megabytes} MB bộ nhớ nên đã bị dừng. Hãy kiểm tra phần mềm tạo gói tin; nếu gói tin bình thường, hãy báo quản trị trục.",
        "Reading and checking the package took more than {seconds} seconds of processor time or {megabytes} MB of memory and was stopped. Check the software that made it; if it is an ordinary package, tell the hub's operator.",
    ),
    Reason(
        "package.hash-mismatch",
        422,
        "10",
        "Giá trị băm của tệp không khớp",
        "The hash of the file does not match",
        "Giá trị băm kèm theo không phải của tệp nhận được: tệp bị thay đổi trên đường truyền. Hãy gửi lại.",
        "The hash sent along is not that of the file received: the file changed on its way. Send it again.",
    ),
    # --- signature and certificate ------------------------------------------------------------------------
    Reason(
        "signature.missing",
        422,
        "22",
        "Chưa ký số",
        "Not signed",
        "Gói tin chưa có chữ ký số của cơ quan gửi, trong khi cơ quan này phải ký. Hãy ký gói tin rồi gửi lại.",
        "The package has no signature of the sending agency, which has to sign. Sign it and send it again.",
    ),
    Reason(
        "signature.profile",
        422,
        "22",
        "Chữ ký sai quy cách",
        "The signature does not follow the profile",
        "Chữ ký không theo quy cách của trục: {why}. Xem tài liệu hướng dẫn ký gói tin.",
        "The signature does not follow the profile of this hub: {why}. See the signing guide.",
    ),
    Reason(
        "signature.digest-mismatch",
        422,
        "22",
        "Nội dung đã bị thay đổi sau khi ký",
        "The content was changed after signing",
        "Nội dung gói tin không khớp với giá trị băm đã ký: gói tin bị sửa sau khi ký. Hãy ký lại bản đúng và gửi lại.",
        "The content does not match the signed digest: it was changed after signing. Sign the right version again and send it.",
    ),
    Reason(
        "signature.invalid",
        422,
        "22",
        "Chữ ký không hợp lệ",
        "The signature is not valid",
        "Giá trị chữ ký không khớp với chứng thư đã đăng ký. Hãy kiểm tra khóa ký và ký lại.",
        "The signature value does not match the registered certificate. Check the signing key and sign again.",
    ),
    Reason(
        "certificate.unknown",
        422,
        "22",
        "Chứng thư chưa đăng ký",
        "The certificate is not registered",
        "Chứng thư dùng để ký (dấu vân tay {fingerprint}) chưa được đăng ký cho cơ quan {organ}. Hãy đăng ký chứng thư với quản trị trục.",
        "The signing certificate (fingerprint {fingerprint}) is not registered for agency {organ}. Register it with the hub's registrar.",
    ),
    Reason(
        "certificate.expired",
        422,
        "22",
        "Chứng thư đã hết hạn",
        "The certificate has expired",
        "Chứng thư ký hết hạn lúc {not_after}. Hãy dùng chứng thư còn hiệu lực.",
        "The signing certificate expired at {not_after}. Use a valid one.",
    ),
    Reason(
        "certificate.not-yet-valid",
        422,
        "22",
        "Chứng thư chưa có hiệu lực",
        "The certificate is not yet valid",
        "Chứng thư ký chỉ có hiệu lực từ {not_before}. Hãy kiểm tra đồng hồ máy ký hoặc dùng chứng thư khác.",
        "The signing certificate is valid only from {not_before}. Check the signer's clock or use another certificate.",
    ),
    Reason(
        "certificate.revoked",
        422,
        "22",
        "Chứng thư đã bị thu hồi",
        "The certificate is revoked",
        "Chứng thư ký đã bị thu hồi lúc {revoked_at}. Hãy dùng chứng thư khác.",
        "The signing certificate was revoked at {revoked_at}. Use another one.",
    ),
    Reason(
        "certificate.revocation-unknown",
        422,
        "22",
        "Chưa biết chứng thư có bị thu hồi không",
        "Not known whether the certificate is revoked",
        "Trục chưa có dữ liệu thu hồi còn hạn cho chứng thư ký, nên không nhận theo chính sách của trục. Hãy gửi lại sau; nếu vẫn bị từ chối, hãy báo quản trị trục.",
        "The hub has no current revocation data for the signing certificate, and its policy is then to refuse. Send again later; if it is still refused, tell the hub's operator.",
    ),
    Reason(
        "certificate.untrusted",
        422,
        "22",
        "Chứng thư không đáng tin cậy",
        "The certificate is not trusted",
        "Không tin cậy được chứng thư ký: {why}. Hãy dùng chứng thư do tổ chức chứng thực được công nhận cấp.",
        "The signing certificate is not trusted: {why}. Use one issued by a recognised authority.",
    ),
    # --- sender -------------------------------------------------------------------------------------------
    Reason(
        "sender.not-registered",
        422,
        "19",
        "Cơ quan gửi chưa đăng ký",
        "The sending agency is not registered",
        "Mã định danh nơi gửi “{organ}” chưa được đăng ký trên trục. Hãy kiểm tra mã trong phần From.",
        "The sender's code “{organ}” is not registered here. Check the code in From.",
    ),
    Reason(
        "sender.not-yours",
        403,
        "19",
        "Không được gửi thay cơ quan này",
        "Not an agency of your system",
        "Hệ thống của bạn không được gửi thay cơ quan “{organ}”. Hãy kiểm tra mã trong phần From hoặc liên hệ quản trị trục.",
        "Your system may not send for agency “{organ}”. Check the code in From or ask the hub's registrar.",
    ),
    Reason(
        "sender.mismatch",
        422,
        "19",
        "Nơi gửi khai báo không khớp",
        "The sender named outside is another",
        "Đơn vị gửi khai báo khi truyền “{claimed}” không phải đơn vị ghi trong phần From của gói tin (“{organ}”). Hãy sửa cho khớp.",
        "The sender named by the transport, “{claimed}”, is not the one in the package's From (“{organ}”). Make them agree.",
    ),
    Reason(
        "registration.not-allowed",
        403,
        "19",
        "Không được đăng ký hoặc đóng đơn vị này",
        "Not a unit of yours to register or close",
        "Hệ thống chỉ được đăng ký hoặc đóng đơn vị trực thuộc cơ quan của mình; “{organ}” không phải như vậy hoặc đã bị đóng. Hãy liên hệ quản trị trục.",
        "A system may register or close only units below its own agencies; “{organ}” is none, or is closed. Ask the hub's registrar.",
    ),
    Reason(
        "sender.suspended",
        403,
        "23",
        "Đang bị tạm ngừng",
        "Suspended",
        "Cơ quan hoặc hệ thống “{organ}” đang bị tạm ngừng gửi nhận. Hãy liên hệ quản trị trục.",
        "Agency or system “{organ}” is suspended. Ask the hub's registrar.",
    ),
    # --- recipient ----------------------------------------------------------------------------------------
    Reason(
        "recipient.unknown",
        422,
        "18",
        "Không có nơi nhận này",
        "The recipient is unknown",
        "Mã nơi nhận “{organ}” không có trong danh bạ. Cả gói tin chưa được nhận; hãy sửa mã hoặc bỏ nơi nhận này rồi gửi lại.",
        "The recipient code “{organ}” is not in the directory. Nothing was accepted; correct or remove it and send again.",
    ),
    Reason(
        "recipient.suspended",
        422,
        "23",
        "Nơi nhận đang tạm ngừng",
        "The recipient is suspended",
        "Nơi nhận “{organ}” đang tạm ngừng nhận văn bản. Cả gói tin chưa được nhận; hãy gửi lại sau hoặc bỏ nơi nhận này.",
        "The recipient “{organ}” is suspended. Nothing was accepted; send later or without it.",
    ),
    Reason(
        "recipient.not-connected",
        422,
        "18",
        "Nơi nhận chưa kết nối",
        "The recipient is not connected",
        "Nơi nhận “{organ}” có trong danh bạ nhưng chưa kết nối hệ thống nào. Hãy gửi bằng đường khác.",
        "The recipient “{organ}” is in the directory but no system receives for it. Send it another way.",
    ),
    Reason(
        "recipient.refuses-broken-pdf",
        422,
        "23",
        "Nơi nhận từ chối chữ ký PDF bị hỏng",
        "The recipient refuses broken PDF signatures",
        "Nơi nhận “{organ}” không nhận văn bản có chữ ký bị hỏng trong tệp PDF. Nơi gửi cần ký lại tệp và gửi văn bản mới.",
        "The recipient “{organ}” takes no document with a broken signature in a PDF file. Its sender should sign the file again and send a new document.",
    ),
    # --- documents and statuses ---------------------------------------------------------------------------
    Reason(
        "document.id-reused",
        409,
        "22",
        "Mã văn bản đã được dùng",
        "The document id was used before",
        "Mã văn bản “{document_id}” đã được gửi ngày {sent_at} với nội dung khác. Nếu muốn sửa hoặc thay, hãy gửi nghiệp vụ cập nhật hay thay thế; nếu là văn bản khác, hãy đổi mã.",
        "Document id “{document_id}” was sent on {sent_at} with other content. To change it send an update or a replacement; for another document use another id.",
    ),
    Reason(
        "document.not-found",
        422,
        "22",
        "Không tìm thấy văn bản được nhắc tới",
        "The document named was not found",
        "Không tìm thấy văn bản được nhắc tới trong số văn bản của bạn. Đã tìm: {searched}. Hãy kiểm tra mã văn bản, số/ký hiệu và cơ quan.",
        "The document named was not found among your documents. Searched: {searched}. Check document id, number/notation and agency.",
    ),
    Reason(
        "document.ambiguous",
        409,
        "22",
        "Nhiều văn bản trùng thông tin",
        "Several documents match",
        "Thông tin khớp với nhiều văn bản: {candidates}. Hãy ghi đúng DocumentId của văn bản.",
        "More than one document matches: {candidates}. Name the right DocumentId.",
    ),
    Reason(
        "status.not-allowed",
        409,
        "22",
        "Trạng thái không phù hợp",
        "The status is not allowed now",
        "Không thể ghi trạng thái {status} khi lượt gửi đang ở trạng thái {current}.",
        "Status {status} cannot follow while the delivery is {current}.",
    ),
    Reason(
        "status.unknown-code",
        422,
        "22",
        "Mã trạng thái lạ",
        "Unknown status code",
        "Mã trạng thái “{status}” không có trong danh mục (01–06, 13, 15, 16).",
        "The status code “{status}” is not in the list (01–06, 13, 15, 16).",
    ),
    # --- deliveries ---------------------------------------------------------------------------------------
    Reason(
        "delivery.digest-mismatch",
        409,
        "21",
        "Giá trị băm không khớp",
        "The digest does not match",
        "SHA-256 bạn tính được ({given}) khác với gói tin đã giao ({expected}). Chưa ghi nhận bàn giao; hãy tải lại nội dung.",
        "The SHA-256 you computed ({given}) differs from the package ({expected}). Nothing was recorded; fetch the content again.",
    ),
    Reason(
        "delivery.withdrawn",
        409,
        "20",
        "Đã bị thu hồi",
        "Withdrawn",
        "Lượt gửi này đã bị nơi gửi thu hồi, nội dung không còn được giao. Hãy hủy bản đã tải (nếu có).",
        "This delivery was withdrawn by its sender and its content is no longer offered. Discard any copy.",
    ),
    Reason(
        "delivery.closed",
        409,
        "20",
        "Lượt gửi đã kết thúc",
        "The delivery is closed",
        "Lượt gửi đang ở trạng thái {current} nên không thực hiện được. Nơi gửi có thể gửi lại.",
        "The delivery is {current}, so this cannot be done. Its sender may send it again.",
    ),
    Reason(
        "delivery.held",
        409,
        "20",
        "Đang chờ kiểm tra chữ ký PDF",
        "Waiting for the check of PDF signatures",
        "Cơ quan nhận từ chối văn bản có chữ ký PDF bị hỏng, nên văn bản chờ trục kiểm tra chữ ký xong. Hãy thử lại sau một phút.",
        "The recipient refuses documents with broken PDF signatures, so this one waits until they are checked. Try again in a minute.",
    ),
    # --- exports ------------------------------------------------------------------------------------------
    Reason(
        "export.not-allowed",
        403,
        "15",
        "Không được xuất",
        "The export is not allowed",
        "Tài khoản này không còn quyền đọc dữ liệu cần xuất. Hãy liên hệ quản trị trục.",
        "This account may not, or no longer, read what is to be exported. Ask the operator of the hub.",
    ),
    Reason(
        "export.too-many",
        422,
        "20",
        "Quá nhiều dòng",
        "Too many rows",
        "Định dạng {format} chỉ dùng cho tối đa {limit} dòng. Hãy thu hẹp bộ lọc hoặc chọn CSV.",
        "The format {format} takes {limit} rows at most. Narrow the filter or choose CSV.",
    ),
    Reason(
        "export.not-sealed",
        503,
        "20",
        "Nhật ký chưa được niêm phong",
        "The log is not sealed yet",
        "Chưa có checkpoint nào bao trùm các sự kiện này. Hãy thử lại sau ít giây.",
        "No signed checkpoint covers these events yet. Try again in a few seconds.",
    ),
    Reason(
        "export.not-ready",
        409,
        "20",
        "Bản xuất chưa xong",
        "The export is not ready",
        "Bản xuất đang ở trạng thái {state}, chưa có tệp để tải.",
        "The export is {state}: there is no file to download.",
    ),
    Reason(
        "export.gone",
        410,
        "20",
        "Bản xuất đã hết hạn",
        "The export has expired",
        "Tệp của bản xuất chỉ được giữ 7 ngày. Hãy lập lại bản xuất.",
        "The file of an export is kept for 7 days. Make the export again.",
    ),
    # --- who is asking ------------------------------------------------------------------------------------
    Reason(
        "auth.required",
        401,
        "15",
        "Chưa xác thực",
        "Not authenticated",
        "Thiếu hoặc sai thông tin xác thực. Hãy lấy mã truy cập mới tại /oauth/token.",
        "Credentials are missing or wrong. Get a new token from /oauth/token.",
    ),
    Reason(
        "auth.vxp",
        401,
        "15",
        "Sai systemid hoặc chữ ký",
        "Wrong systemid or signature",
        "Sai systemid, secret hoặc chữ ký của phần tiêu đề. Hãy kiểm tra cấu hình kết nối và thử lại.",
        "The systemid, the secret or the signature of the headers is wrong. Check the configuration and try again.",
    ),
    Reason(
        "auth.expired",
        401,
        "15",
        "Mã truy cập hết hạn",
        "The token has expired",
        "Mã truy cập đã hết hạn lúc {expired_at}. Hãy lấy mã mới tại /oauth/token.",
        "The access token expired at {expired_at}. Get a new one from /oauth/token.",
    ),
    Reason(
        "auth.scope",
        403,
        "15",
        "Thiếu quyền",
        "The scope is missing",
        "Mã truy cập không có quyền “{scope}”. Hãy xin mã truy cập với quyền này.",
        "The token lacks the scope “{scope}”. Ask for a token that has it.",
    ),
    Reason(
        "auth.origin",
        403,
        "15",
        "Không được gọi từ nơi này",
        "Not from here",
        "Hệ thống của bạn không được kết nối từ nơi này: {why}. Hãy gọi từ địa chỉ đã đăng ký, với chứng thư đã đăng ký, hoặc nhờ quản trị trục đăng ký thêm.",
        "Your system may not connect like this: {why} is not registered for it. Call from a registered address with the registered certificate, or ask the hub's registrar.",
    ),
    Reason(
        "request.invalid",
        400,
        "20",
        "Yêu cầu không hợp lệ",
        "The request is not valid",
        "Yêu cầu không hợp lệ: {why}.",
        "The request is not valid: {why}.",
    ),
    Reason(
        "request.not-found",
        404,
        "20",
        "Không tìm thấy",
        "Not found",
        "Không có đối tượng này, hoặc nó không thuộc về bạn.",
        "There is no such thing, or it is not yours.",
    ),
    Reason(
        "request.method",
        405,
        "20",
        "Phương thức không được phép",
        "Method not allowed",
        "Không dùng được phương thức {method} ở địa chỉ này.",
        "The method {method} is not allowed here.",
    ),
    Reason(
        "request.media-type",
        415,
        "10",
        "Kiểu nội dung không được hỗ trợ",
        "Media type not supported",
        "Kiểu nội dung “{media_type}” không được hỗ trợ ở đây. Hãy gửi {expected}.",
        "The media type “{media_type}” is not supported here. Send {expected}.",
    ),
    Reason(
        "request.too-many",
        429,
        "20",
        "Quá nhiều yêu cầu",
        "Too many requests",
        "Hệ thống của bạn gửi quá nhiều yêu cầu. Hãy thử lại sau {seconds} giây.",
        "Your system sends too many requests. Try again in {seconds} seconds.",
    ),
    Reason(
        "package.removed",
        410,
        "20",
        "Đã xóa theo quy định lưu giữ",
        "Removed by retention",
        "Trục đã nhận gói tin này; nội dung được yêu cầu đã bị xóa theo quy định lưu giữ hoặc theo lệnh. Mã băm và bằng chứng vẫn còn: xem hành trình (trail) của gói tin.",
        "The hub took this package; what was asked for was removed by a retention rule or an order. Its digest and the proofs stay: see the package's trail.",
    ),
    Reason(
        "hub.unavailable",
        503,
        "20",
        "Trục tạm thời không phục vụ được",
        "The hub is temporarily unavailable",
        "Trục tạm thời không phục vụ được: {why}. Chưa có gì được ghi nhận; hãy thử lại sau.",
        "The hub cannot serve this now: {why}. Nothing was recorded; try again later.",
    ),
    Reason(
        "hub.busy",
        503,
        "20",
        "Trục đang bận",
        "The hub is busy",
        "Trục đang nhận hoặc xử lý nhiều gói tin lớn hoặc đến chậm cùng lúc. Chưa có gì được ghi nhận; hãy gửi lại sau {seconds} giây.",
        "The hub is busy with many large or slow packages at once. Nothing was recorded; send again in {seconds} seconds.",
    ),
    Reason(
        "hub.maintenance",
        503,
        "20",
        "Trục đang bảo trì",
        "The hub is under maintenance",
        "Trục đang bảo trì nên chưa nhận gói tin mới; những gì đã nhận vẫn được giao. Hãy gửi lại sau {seconds} giây.",
        "The hub is under maintenance and takes nothing new; what it took is still delivered. Send again in {seconds} seconds.",
    ),
    Reason(
        "hub.read-only",
        503,
        "20",
        "Trục chỉ cho xem",
        "The hub is read-only",
        "Trục đang ở chế độ chỉ cho xem: chưa văn bản nào được nhận, giao hay trả lời. Hãy thử lại sau {seconds} giây.",
        "The hub is read-only: no document is taken, handed over or answered now. Try again in {seconds} seconds.",
    ),
    Reason(
        "hub.seal-away",
        503,
        "20",
        "Con dấu của trục tạm thời không dùng được",
        "The hub's seal is away",
        "Trục chưa ký được biên nhận vì thiết bị giữ khóa không trả lời. Nếu gói tin hợp lệ thì có thể đã được tiếp nhận; hãy gửi lại đúng yêu cầu này sau {seconds} giây để lấy biên nhận, trục không ghi hai lần.",
        "The hub cannot sign a receipt: the module that holds its key does not answer. What you sent may have been taken; send exactly this request again in {seconds} seconds for the receipt, nothing is recorded twice.",
    ),
    Reason(
        "hub.error",
        500,
        "20",
        "Lỗi của trục",
        "An error of the hub",
        "Trục gặp lỗi khi xử lý yêu cầu. Chưa có gì được ghi nhận; hãy thử lại và báo mã yêu cầu cho quản trị trục.",
        "The hub failed on this request. Nothing was recorded; try again and quote the request id to the operator.",
    ),
)

CATALOGUE: Mapping[str, Reason] = MappingProxyType({reason.code: reason for reason in _ENTRIES})
