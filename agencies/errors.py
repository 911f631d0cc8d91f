"""Why a change of the registry is not made: one closed catalogue, Vietnamese first. Pure."""

# code: (Vietnamese, English); words in braces are facts that the raiser must give.
TEXTS: dict[str, tuple[str, str]] = {
    "agency.code-invalid": (
        "Mã định danh «{code}» không hợp lệ: cần 1–64 ký tự in được, không có khoảng trắng.",
        "Agency code “{code}” is not valid: 1–64 printable characters without spaces are needed.",
    ),
    "agency.name-invalid": (
        "Tên cơ quan có mã «{code}» phải có từ 1 đến 300 ký tự.",
        "The name of agency {code} must have 1 to 300 characters.",
    ),
    "agency.email-invalid": (
        "Thư điện tử «{email}» không hợp lệ.",
        "“{email}” is not a valid mail address.",
    ),
    "agency.policy-unknown": (
        "Không có lựa chọn «{value}» cho {field}.",
        "There is no choice “{value}” for {field}.",
    ),
    "agency.exists": (
        "Mã «{code}» đã đăng ký với thông tin khác; hãy dùng chức năng cập nhật.",
        "Code {code} is already registered with other facts; update that agency instead.",
    ),
    "agency.parent-cycle": (
        "Cơ quan «{code}» không thể là cấp trên, trực tiếp hay gián tiếp, của chính mình.",
        "Agency {code} cannot stand above itself, directly or through others.",
    ),
    "agency.parent-unknown": (
        "Không có cơ quan cấp trên mang mã «{code}».",
        "There is no parent agency with code {code}.",
    ),
    "agency.connected-elsewhere": (
        "Cơ quan «{code}» đang nhận văn bản qua hệ thống «{system}»; hãy dùng chức năng chuyển hệ thống.",
        "Agency {code} already receives through system {system}; move it instead.",
    ),
    "alias.overlap": (
        "Mã «{code}» đang thuộc cơ quan «{holder}» trong khoảng thời gian này.",
        "Code {code} belongs to agency {holder} during this time.",
    ),
    "alias.interval": (
        "Thời hạn của mã «{code}» không hợp lệ: ngày bắt đầu phải trước ngày kết thúc.",
        "The validity of code {code} is wrong: it must start before it ends.",
    ),
    "alias.unknown": (
        "Mã «{code}» không thuộc cơ quan nào vào thời điểm đó.",
        "Code {code} belongs to no such agency at that time.",
    ),
    "system.exists": (
        "Hệ thống «{name}» đã đăng ký với thông tin khác; hãy dùng chức năng cập nhật.",
        "System {name} is already registered with other facts; update it instead.",
    ),
    "system.name-invalid": (
        "Tên hệ thống phải có từ 1 đến 200 ký tự.",
        "The name of a system must have 1 to 200 characters.",
    ),
    "system.choice-unknown": (
        "Không có lựa chọn «{value}» cho {field}.",
        "There is no choice “{value}” for {field}.",
    ),
    "system.callback-invalid": (
        "Địa chỉ nhận «{url}» không hợp lệ: cần địa chỉ http(s) đầy đủ, không kèm mật khẩu.",
        "Callback address “{url}” is not valid: a full http(s) address without a password is needed.",
    ),
    "system.callback-missing": (
        "Hệ thống nhận theo cách đẩy phải có địa chỉ nhận.",
        "A system that is pushed to must have a callback address.",
    ),
    "system.limit-invalid": (
        "Dung lượng tối đa phải lớn hơn 0.",
        "The largest size must be above 0.",
    ),
    "system.network-invalid": (
        "Mạng được phép không hợp lệ: {why}. Hãy viết dạng CIDR, ví dụ 203.0.113.0/24.",
        "A network is not valid: {why}. Write CIDR, for example 203.0.113.0/24.",
    ),
    "system.identity-invalid": (
        "Khóa và chứng thư không dùng được: {why}. Cần khóa không mật khẩu và chứng thư của nó, dạng PEM.",
        "Key and certificate cannot be used: {why}. Give a key without password, its certificate, PEM.",
    ),
    "system.client-certificate-invalid": (
        "Dấu vân tay chứng thư TLS phải là SHA-256: 64 chữ số thập lục phân viết thường.",
        "The fingerprint of the TLS certificate must be SHA-256: 64 lower-case hexadecimal digits.",
    ),
    "system.vxp-id-taken": (
        "systemid «{vxp_id}» đã thuộc một hệ thống khác.",
        "systemid {vxp_id} already belongs to another system.",
    ),
    "credential.scope-unknown": (
        "Phạm vi «{scope}» không tồn tại; chọn trong: {known}.",
        "There is no scope “{scope}”; choose from: {known}.",
    ),
    "credential.none": (
        "Hệ thống «{system}» không có thông tin xác thực nào còn hiệu lực để thay.",
        "System {system} has no working credential to rotate.",
    ),
    "certificate.unreadable": (
        "Không đọc được chứng thư số: {why}.",
        "The certificate cannot be read: {why}.",
    ),
    "certificate.not-one": (
        "Tệp phải chứa đúng một chứng thư số, nhưng có {count}.",
        "The file must hold exactly one certificate; it holds {count}.",
    ),
    "certificate.revoked": (
        "Chứng thư số {fingerprint} đã bị thu hồi, không thể đăng ký lại.",
        "Certificate {fingerprint} is revoked and cannot be registered again.",
    ),
    "certificate.reason-missing": (
        "Thu hồi chứng thư số phải có lý do.",
        "Revoking a certificate needs a reason.",
    ),
    "crl.unreadable": (
        "Không đọc được danh sách thu hồi: {why}.",
        "The revocation list cannot be read: {why}.",
    ),
    "crl.not-of-issuer": (
        "Danh sách thu hồi không do «{issuer}» ký.",
        "The revocation list is not signed by {issuer}.",
    ),
    "ocsp.unusable": (
        "Câu trả lời OCSP không dùng được: {why}.",
        "The OCSP answer cannot be used: {why}.",
    ),
    "crl.partial": (
        "Danh sách thu hồi chỉ chứa phần thay đổi; cần danh sách đầy đủ.",
        "The revocation list holds changes only; a complete list is needed.",
    ),
    "csv.header": (
        "Dòng đầu phải có các cột code, name; được thêm: {known}. Cột lạ: {unknown}.",
        "The first line must have the columns code, name and may have: {known}. Unknown: {unknown}.",
    ),
    "csv.row": (
        "Dòng có số ô không khớp với dòng tiêu đề.",
        "The line does not have as many cells as the header.",
    ),
    "csv.alias": (
        "Không hiểu mã phụ «{text}»; viết MÃ hoặc MÃ@từ..đến với ngày dạng 2025-07-01.",
        "Alias “{text}” is not understood; write CODE or CODE@from..until with dates like 2025-07-01.",
    ),
    "csv.twice": (
        "Mã «{code}» đã có ở dòng {line}.",
        "Code {code} already stands on line {line}.",
    ),
    "csv.code-is-alias": (
        "«{code}» là mã phụ của cơ quan «{holder}»; hãy dùng chức năng đổi mã.",
        "{code} is an alias of agency {holder}; rename that agency instead.",
    ),
}


class EnrolmentError(Exception):
    """A change of the registry was refused; nothing was changed. `code` is one of TEXTS."""

    def __init__(self, code: str, /, **facts: object) -> None:
        self.code = code
        vietnamese, english = TEXTS[code]
        self.message_vi = vietnamese.format(**facts)
        self.message_en = english.format(**facts)
        super().__init__(f"{code}: {self.message_en}")
