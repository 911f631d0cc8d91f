"""Every fault that the doctor knows: what it is and what to do, in both languages. A closed list. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Fault:
    """`grave` ones keep the hub from its work or soon will; the others want an eye on them."""

    code: str
    grave: bool
    vi: str
    en: str
    todo_vi: str
    todo_en: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of this hub, with what was seen."""

    code: str
    seen: str

    @property
    def fault(self) -> Fault:
        """What the code stands for."""
        return FAULTS[self.code]


_ALL = (
    # --- the installation ---------------------------------------------------------------------------------
    Fault(
        "python.old", True, "Python quá cũ", "Python is too old",
        "Cài Python 3.11 trở lên rồi dựng lại .venv.", "Install Python 3.11 or newer and rebuild .venv.",
    ),
    Fault(
        "libraries.differ", False,
        "Thư viện đang cài khác bản đã khóa", "Installed libraries are not the locked ones",
        "Chạy lại: .venv/bin/pip install --require-hashes --no-deps -r requirements.txt.",
        "Run again: .venv/bin/pip install --require-hashes --no-deps -r requirements.txt.",
    ),
    Fault(
        "settings.mistake", True, "Cấu hình sai", "A mistake in the settings",
        "Sửa theo gợi ý kèm theo, rồi chạy manage.py check.", "Follow the hint, then run manage.py check.",
    ),
    Fault(
        "settings.doubtful", False, "Cấu hình đáng ngờ", "A doubtful setting",
        "Xem gợi ý kèm theo.", "See the hint.",
    ),
    Fault(
        "clock.unsynchronised", False,
        "Đồng hồ máy không được đồng bộ", "The clock of this machine is not synchronised",
        "Bật chrony hoặc systemd-timesyncd với máy chủ giờ nội bộ.",
        "Enable chrony or systemd-timesyncd with the time server of your network.",
    ),
    Fault(
        "disk.low", True, "Đĩa sắp đầy", "A disk is nearly full",
        "Xóa bản sao lưu cũ hoặc thêm dung lượng; manage.py housekeeping cho biết bảng nào lớn.",
        "Remove old backups or add space; manage.py housekeeping shows which tables are big.",
    ),
    Fault(
        "vault.not-writable", True, "Không ghi được vào kho gói tin", "The vault cannot be written",
        "Kiểm tra HUB_VAULT_DIR, chủ sở hữu thư mục và ReadWritePaths của unit.",
        "Check HUB_VAULT_DIR, the owner of the directory, and ReadWritePaths of the unit.",
    ),
    Fault(
        "fonts.missing", False,
        "Thiếu phông chữ tiếng Việt cho PDF", "The font with Vietnamese letters for PDFs is missing",
        "Cài lại mã nguồn: phông chữ nằm trong exchange/exports/fonts.",
        "Install the code again: the font lies in exchange/exports/fonts.",
    ),
    # --- keys and trust -----------------------------------------------------------------------------------
    Fault(
        "keys.missing", True, "Thiếu khóa của trục", "A key of the hub is missing or unusable",
        "Máy mới: manage.py make_keys. Máy phục hồi: chép lại thư mục khóa từ nơi cất giữ.",
        "New machine: manage.py make_keys. Restored machine: put the key directory back from its safe.",
    ),
    Fault(
        "keys.module", True, "Thiết bị giữ con dấu không ký", "The module with the seal does not sign",
        "Kiểm tra thiết bị, module-path, token, object và tệp PIN trong seal.pem; văn bản vẫn đi, biên nhận phải chờ.",
        "Check the device, and module-path, token, object and PIN file in seal.pem; documents move, receipts wait.",
    ),
    Fault(
        "keys.open", True, "Người khác đọc được khóa của trục", "Others can read the hub's keys",
        "chmod 600 các tệp khóa, chmod 700 thư mục; nếu máy có nhiều người dùng, hãy thay khóa (rotate_keys).",
        "chmod 600 the files and 700 the directory; where others had access, change the keys (rotate_keys).",
    ),
    Fault(
        "certificate.expiring", False, "Chứng thư sắp hết hạn", "A certificate expires soon",
        "Con dấu: rotate_keys seal --pem. Cơ quan: nhắc cơ quan và add_certificate. CA: thêm chứng thư CA mới.",
        "Seal: rotate_keys seal --pem. Agency: tell it, then add_certificate. Authority: add its new certificate.",
    ),
    Fault(
        "certificate.expired", True, "Chứng thư đã hết hạn", "A certificate has expired",
        "Con dấu: rotate_keys seal --pem ngay. CA: thêm chứng thư CA mới vào HUB_TRUST_DIR.",
        "Seal: rotate_keys seal --pem now. Authority: put its new certificate into HUB_TRUST_DIR.",
    ),
    Fault(
        "trust.empty", True, "Không tin cậy CA nào", "No authority is trusted",
        "Đặt chứng thư gốc và trung gian (PEM) vào HUB_TRUST_DIR.",
        "Put the root and intermediate certificates (PEM) into HUB_TRUST_DIR.",
    ),
    Fault(
        "trust.unreadable", True, "Có tệp không đọc được trong HUB_TRUST_DIR", "A file in HUB_TRUST_DIR cannot be read",
        "Bỏ hoặc thay tệp được nêu tên; nó chặn mọi việc kiểm tra chữ ký.",
        "Remove or replace the file named: it stops every signature check.",
    ),
    Fault(
        "crl.overdue", False, "Danh sách thu hồi đã quá hạn", "A revocation list is overdue",
        "Lấy danh sách mới của CA rồi chạy manage.py add_crl.", "Get the authority's new list and run manage.py add_crl.",
    ),
    Fault(
        "crl.unfetched", False, "Không lấy được dữ liệu thu hồi", "Revocation data cannot be fetched",
        "Kiểm tra đường mạng tới địa chỉ được nêu; địa chỉ nội bộ phải có trong HUB_PUSH_NETWORKS.",
        "Check the network to the address named; an internal one must be in HUB_PUSH_NETWORKS.",
    ),
    # --- what the hub stands on ---------------------------------------------------------------------------
    Fault(
        "database.down", True, "Không kết nối được cơ sở dữ liệu", "The database cannot be reached",
        "Kiểm tra HUB_DATABASE_URL và dịch vụ postgresql.", "Check HUB_DATABASE_URL and the postgresql service.",
    ),
    Fault(
        "database.old", True, "PostgreSQL quá cũ", "PostgreSQL is too old",
        "Nâng cấp lên PostgreSQL 15 trở lên.", "Upgrade to PostgreSQL 15 or newer.",
    ),
    Fault(
        "database.encoding", True, "Cơ sở dữ liệu không dùng UTF-8", "The database is not in UTF-8",
        "Tạo lại cơ sở dữ liệu với ENCODING 'UTF8' rồi phục hồi từ bản sao lưu.",
        "Create the database again with ENCODING 'UTF8' and restore the backup.",
    ),
    Fault(
        "database.clock", True, "Đồng hồ máy này lệch với máy cơ sở dữ liệu", "This clock differs from that of the database",
        "Đồng bộ giờ cả hai máy, rồi khởi động lại trục.", "Synchronise both machines, then restart the hub.",
    ),
    Fault(
        "database.guards", True, "Thiếu chốt bảo vệ nhật ký trong cơ sở dữ liệu", "A guard of the log is missing in the database",
        "Có người đã gỡ trigger: kiểm tra bằng check_log, tìm nguyên nhân, rồi phục hồi hoặc chạy lại migrate exchange 0002.",
        "Somebody removed a trigger: run check_log, find out who, then restore or install the guards again.",
    ),
    Fault(
        "migrations.missing", True, "Chưa cập nhật cấu trúc dữ liệu", "Migrations are not applied",
        "Sao lưu, rồi chạy manage.py migrate (make upgrade làm cả hai).",
        "Back up, then run manage.py migrate (make upgrade does both).",
    ),
    Fault(
        "migrations.unknown", False, "Cơ sở dữ liệu mới hơn phần mềm", "The database is newer than this code",
        "Tiếp tục nâng cấp phần mềm, hoặc phục hồi bản sao lưu trước nâng cấp.",
        "Finish the upgrade of the code, or restore the backup made before it.",
    ),
    Fault(
        "broker.down", False, "Không kết nối được hàng đợi", "The broker cannot be reached",
        "Kiểm tra HUB_BROKER_URL và dịch vụ rabbitmq-server. Văn bản vẫn được nhận và giữ lại.",
        "Check HUB_BROKER_URL and rabbitmq-server. Documents are still accepted and kept.",
    ),
    # --- what should be running ---------------------------------------------------------------------------
    Fault(
        "web.silent", True, "Tiến trình web không trả lời", "The web process does not answer",
        "systemctl status hub-web; journalctl -u hub-web.", "systemctl status hub-web; journalctl -u hub-web.",
    ),
    Fault(
        "worker.silent", True, "Không tiến trình nào phục vụ làn này", "No worker serves a lane",
        "systemctl status 'hub-worker@*' hub-scheduler; nếu mọi làn đều im, xem lịch (hub-scheduler) và hàng đợi.",
        "systemctl status 'hub-worker@*' hub-scheduler; when all lanes are silent, look at scheduler and broker.",
    ),
    Fault(
        "sealer.silent", True, "Tiến trình ghi nhật ký không chạy", "The sealer is not running",
        "systemctl status hub-sealer; journalctl -u hub-sealer.", "systemctl status hub-sealer; journalctl -u hub-sealer.",
    ),
    Fault(
        "sealer.lags", True, "Sự kiện chờ ghi vào nhật ký quá lâu", "Events wait too long for the log",
        "journalctl -u hub-sealer: nếu bộ ký từ chối (sau khi phục hồi), xem docs/operations.md mục phục hồi.",
        "journalctl -u hub-sealer: when the signer refuses (after a restore), see Restore in docs/operations.md.",
    ),
    Fault(
        "backup.old", False, "Không có bản sao lưu mới", "There is no recent backup",
        "Bật hub-backup.timer hoặc chạy make backup.", "Enable hub-backup.timer, or run make backup.",
    ),
    Fault(
        "mode.on", False, "Trục đang bảo trì hoặc chỉ cho xem", "The hub is in maintenance or read-only mode",
        "Xong việc thì chạy: manage.py mode normal.", "When the work is done run: manage.py mode normal.",
    ),
    Fault(
        "log.findings", True, "Nhật ký kiểm toán không đúng", "The audit log does not hold",
        "Chạy manage.py check_log và báo bộ phận kiểm toán; đừng xóa gì.",
        "Run manage.py check_log and tell the auditors; delete nothing.",
    ),
    Fault(
        "anchor.late", False,
        "Bên ngoài chưa xác nhận nhật ký", "Nobody outside has vouched for the log",
        "Kiểm tra HUB_TSA_URL, HUB_TSA_CA, HUB_WITNESSES và đường mạng tới các bên đó; nhật ký vẫn chạy.",
        "Check HUB_TSA_URL, HUB_TSA_CA, HUB_WITNESSES and the network to them; the log goes on meanwhile.",
    ),
)  # fmt: skip

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.code: fault for fault in _ALL})
