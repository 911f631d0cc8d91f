"""Rows of the registry. Changes go through `agencies.enrolment`, questions through `agencies.directory`."""

import uuid
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AbstractApplication


class BytesField(models.BinaryField):  # type: ignore[type-arg]
    """Bytes that come back as bytes from every database (PostgreSQL gives memoryview)."""

    _pyi_private_get_type: bytes

    def from_db_value(self, value: object, expression: object, connection: object) -> bytes | None:
        """The stored value as bytes."""
        return None if value is None else bytes(value)  # type: ignore[call-overload]


class SignaturePolicy(models.TextChoices):
    """What happens to a package without a valid signature."""

    REQUIRED = "required", _("Bắt buộc ký số")
    REPORT = "report", _("Nhận và ghi rõ kết quả ký số")


class DuplicatePolicy(models.TextChoices):
    """What happens to a new document under an identifier that its sender already used."""

    REFUSE = "refuse", _("Từ chối")
    WARN = "warn", _("Nhận kèm cảnh báo")


class Agency(models.Model):
    """An organ that sends and receives documents under one current code and any number of aliases."""

    id = models.UUIDField(_("định danh"), primary_key=True, default=uuid.uuid4, editable=False)
    code = models.CharField(_("mã định danh"), max_length=64)
    folded = models.CharField(_("mã để so khớp"), max_length=192, editable=False)
    name = models.CharField(_("tên"), max_length=300)
    name_en = models.CharField(_("tên tiếng Anh"), max_length=300, blank=True, default="")
    parent = models.ForeignKey(
        "self",
        verbose_name=_("cơ quan cấp trên"),
        related_name="children",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
    )
    search_text = models.TextField(_("chữ để tìm kiếm"), editable=False)
    email = models.EmailField(_("thư điện tử"), max_length=200, blank=True, default="")
    receives_through = models.ForeignKey(
        "System",
        verbose_name=_("hệ thống nhận văn bản"),
        related_name="receives_for",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
    )
    signature_policy = models.CharField(
        _("yêu cầu ký số"), max_length=10, choices=SignaturePolicy.choices, blank=True, default=""
    )
    duplicate_policy = models.CharField(
        _("xử lý văn bản trùng"), max_length=10, choices=DuplicatePolicy.choices, blank=True, default=""
    )
    hub_may_sign = models.BooleanField(_("trục được ký thay thông điệp"), default=True)
    refuses_broken_pdf = models.BooleanField(
        _("từ chối văn bản có chữ ký PDF bị hỏng"), default=False, db_default=False
    )
    suspended_at = models.DateTimeField(_("tạm ngừng lúc"), null=True, blank=True)
    created_at = models.DateTimeField(_("tạo lúc"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("cập nhật lúc"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("cơ quan")
        verbose_name_plural = _("cơ quan")
        ordering = ("folded",)
        constraints = (
            models.UniqueConstraint(fields=("folded",), name="agency_code_unique"),
            models.CheckConstraint(condition=~Q(folded=""), name="agency_code_present"),
            models.CheckConstraint(condition=~Q(name=""), name="agency_name_present"),
            models.CheckConstraint(
                condition=Q(signature_policy__in=("", *SignaturePolicy.values)),
                name="agency_signature_policy",
            ),
            models.CheckConstraint(
                condition=Q(duplicate_policy__in=("", *DuplicatePolicy.values)),
                name="agency_duplicate_policy",
            ),
            models.CheckConstraint(
                condition=Q(parent__isnull=True) | ~Q(parent=F("id")), name="agency_not_its_own_parent"
            ),
        )
        indexes = (models.Index(fields=("updated_at",), name="agency_updated_at"),)

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    @property
    def reachable(self) -> bool:
        """Whether documents can be sent to it now: connected, and neither it nor its system is suspended."""
        system = self.receives_through
        return self.suspended_at is None and system is not None and system.suspended_at is None


class AliasQuerySet(models.QuerySet["Alias"]):
    """Codes with their dates."""

    def valid(self, at: datetime) -> "AliasQuerySet":
        """Those that mean their agency at `at`."""
        return self.filter(
            Q(valid_from__isnull=True) | Q(valid_from__lte=at),
            Q(valid_until__isnull=True) | Q(valid_until__gt=at),
        )


class Alias(models.Model):
    """A code that means an agency during [valid_from, valid_until). The current code has a row too."""

    id = models.UUIDField(_("định danh"), primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(
        Agency, verbose_name=_("cơ quan"), related_name="aliases", on_delete=models.CASCADE
    )
    code = models.CharField(_("mã"), max_length=64)
    folded = models.CharField(_("mã để so khớp"), max_length=192, editable=False)
    valid_from = models.DateTimeField(_("có hiệu lực từ"), null=True, blank=True)
    valid_until = models.DateTimeField(_("hết hiệu lực từ"), null=True, blank=True)

    objects = AliasQuerySet.as_manager()

    class Meta:
        verbose_name = _("mã của cơ quan")
        verbose_name_plural = _("mã của cơ quan")
        ordering = ("folded", "valid_from")
        # The index of the first constraint leads with `folded`: it is also the one that lookups use.
        # Overlap in general cannot be said in a constraint of both databases: `aliases.claim` checks it
        # under a lock; what can be said is said here.
        constraints = (
            models.UniqueConstraint(fields=("folded", "valid_from"), name="alias_one_start"),
            models.UniqueConstraint(
                fields=("folded",), condition=Q(valid_from__isnull=True), name="alias_one_open_start"
            ),
            models.UniqueConstraint(
                fields=("folded",), condition=Q(valid_until__isnull=True), name="alias_one_open_end"
            ),
            models.CheckConstraint(condition=~Q(folded=""), name="alias_code_present"),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_until__isnull=True)
                | Q(valid_from__lt=F("valid_until")),
                name="alias_interval_not_empty",
            ),
        )

    def __str__(self) -> str:
        return self.code

    def is_valid(self, at: datetime) -> bool:
        """Whether the code means its agency at `at`."""
        started = self.valid_from is None or self.valid_from <= at
        return started and (self.valid_until is None or at < self.valid_until)


# Of a system: it asks for its inbox, and wants to be told when something comes.
WANTS_NOTICES = Q(notice=True, delivery="pull") & ~Q(callback_url="")


class System(models.Model):
    """A connected document-management system: how to reach it and for which agencies it speaks."""

    class Kind(models.TextChoices):
        """Which face of the hub the system speaks to; `axis` is the uplink to the national axis."""

        NATIVE = "native", _("Kết nối trực tiếp")
        VXP = "vxp", _("Giao thức trục liên thông")
        AXIS = "axis", _("Trục cấp trên")

    class Delivery(models.TextChoices):
        """Who opens the connection when a package is handed over."""

        PULL = "pull", _("Hệ thống tự lấy")
        PUSH = "push", _("Trục đẩy tới hệ thống")

    id = models.UUIDField(_("định danh"), primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("tên hệ thống"), max_length=200, unique=True)
    kind = models.CharField(_("loại kết nối"), max_length=10, choices=Kind.choices, default=Kind.NATIVE)
    delivery = models.CharField(
        _("cách nhận văn bản"), max_length=10, choices=Delivery.choices, default=Delivery.PULL
    )
    notice = models.BooleanField(_("gửi thông báo ngắn"), default=False)
    # Of a system above: the beginnings of codes that it receives for, `*` for all others.
    prefixes = models.CharField(_("phần đầu mã được chuyển lên"), max_length=1000, blank=True, default="")
    callback_url = models.URLField(_("địa chỉ nhận"), max_length=500, blank=True, default="")
    vxp_id = models.CharField(_("systemid trên trục"), max_length=200, null=True, blank=True)
    # Ciphertexts: the hub encrypts and decrypts them under a key outside the database.
    vxp_secret = BytesField(_("mật khẩu trục (đã mã hóa)"), blank=True, default=b"")
    webhook_secrets = BytesField(_("khóa webhook (đã mã hóa)"), blank=True, default=b"")
    push_identity = BytesField(_("khóa và chứng thư khi đẩy (đã mã hóa)"), blank=True, default=b"")
    ca_pem = models.TextField(_("chứng thư CA riêng (PEM)"), blank=True, default="")
    signature_policy = models.CharField(
        _("yêu cầu ký số"),
        max_length=10,
        choices=SignaturePolicy.choices,
        default=SignaturePolicy.REQUIRED,
    )
    duplicate_policy = models.CharField(
        _("xử lý văn bản trùng"),
        max_length=10,
        choices=DuplicatePolicy.choices,
        default=DuplicatePolicy.REFUSE,
    )
    max_bytes = models.PositiveBigIntegerField(_("dung lượng gói tối đa (byte)"), null=True, blank=True)
    sends_for = models.ManyToManyField(
        Agency, verbose_name=_("được gửi thay cho"), related_name="senders", blank=True
    )
    networks = models.TextField(_("mạng được phép kết nối (CIDR)"), blank=True, default="")
    client_certificate = models.CharField(
        _("chứng thư TLS phải có (SHA-256)"), max_length=64, blank=True, default=""
    )
    requests_per_minute = models.PositiveIntegerField(_("số yêu cầu mỗi phút"), null=True, blank=True)
    suspended_at = models.DateTimeField(_("tạm ngừng lúc"), null=True, blank=True)
    paused_at = models.DateTimeField(_("tạm dừng giao lúc"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("liên lạc gần nhất"), null=True, blank=True)
    created_at = models.DateTimeField(_("tạo lúc"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("hệ thống kết nối")
        verbose_name_plural = _("hệ thống kết nối")
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("vxp_id",), name="system_vxp_id_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="system_name_present"),
            models.CheckConstraint(condition=Q(kind__in=("native", "vxp", "axis")), name="system_kind"),
            models.CheckConstraint(condition=Q(delivery__in=("pull", "push")), name="system_delivery"),
            models.CheckConstraint(
                condition=Q(delivery="pull") | ~Q(callback_url=""), name="system_push_has_callback"
            ),
            models.CheckConstraint(
                condition=Q(signature_policy__in=SignaturePolicy.values), name="system_signature_policy"
            ),
            models.CheckConstraint(
                condition=Q(duplicate_policy__in=DuplicatePolicy.values), name="system_duplicate_policy"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def wants_notices(self) -> bool:
        """The same as WANTS_NOTICES."""
        return self.notice and self.delivery == self.Delivery.PULL and self.callback_url != ""


class Credential(AbstractApplication):
    """OAuth client of a system (client credentials, RFC 6749 §4.4). The secret is kept hashed only."""

    system = models.ForeignKey(
        System, verbose_name=_("hệ thống"), related_name="credentials", on_delete=models.PROTECT
    )
    scopes = models.CharField(_("phạm vi được cấp"), max_length=100)
    last_used_at = models.DateTimeField(_("dùng gần nhất"), null=True, blank=True)
    # May lie in the future: a rotated credential works until then.
    revoked_at = models.DateTimeField(_("thu hồi lúc"), null=True, blank=True)

    class Meta(AbstractApplication.Meta):
        verbose_name = _("thông tin xác thực")
        verbose_name_plural = _("thông tin xác thực")
        constraints = (
            models.CheckConstraint(
                condition=Q(client_type="confidential", authorization_grant_type="client-credentials"),
                name="credential_client_credentials_only",
            ),
            models.CheckConstraint(condition=Q(hash_client_secret=True), name="credential_secret_hashed"),
        )

    def __str__(self) -> str:
        return str(self.client_id)

    @property
    def scope_list(self) -> list[str]:
        """The scopes this credential may ask for, of `send receive directory audit`."""
        return self.scopes.split()

    def is_live(self, at: datetime) -> bool:
        """Whether it may be used at `at`: not revoked yet, and its system is not suspended."""
        return (self.revoked_at is None or at < self.revoked_at) and self.system.suspended_at is None

    def is_usable(self, request: object) -> bool:
        """django-oauth-toolkit asks this at the token endpoint, before it looks at the secret."""
        return self.is_live(timezone.now())


class Certificate(models.Model):
    """A signing certificate registered for an agency; kept after revocation, old signatures need it."""

    id = models.UUIDField(_("định danh"), primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(
        Agency, verbose_name=_("cơ quan"), related_name="certificates", on_delete=models.PROTECT
    )
    der = BytesField(_("chứng thư (DER)"))
    fingerprint = models.CharField(_("dấu vân tay SHA-256"), max_length=64)
    subject = models.TextField(_("chủ thể"))
    issuer = models.TextField(_("tổ chức cấp"))
    serial = models.CharField(_("số sê-ri"), max_length=64)
    not_before = models.DateTimeField(_("có hiệu lực từ"))
    not_after = models.DateTimeField(_("hết hiệu lực lúc"))
    registered_at = models.DateTimeField(_("đăng ký lúc"), default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(_("thu hồi lúc"), null=True, blank=True)
    revocation_reason = models.CharField(_("lý do thu hồi"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("chứng thư số")
        verbose_name_plural = _("chứng thư số")
        ordering = ("not_after",)
        constraints = (
            models.UniqueConstraint(fields=("agency", "fingerprint"), name="certificate_once_per_agency"),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True) | ~Q(revocation_reason=""),
                name="certificate_revoked_with_reason",
            ),
        )
        indexes = (models.Index(fields=("not_after",), name="certificate_not_after"),)

    def __str__(self) -> str:
        return f"{self.serial} ({self.fingerprint[:16]}…)"


class RevocationList(models.Model):
    """The newest list of revoked certificates (CRL, RFC 5280 §5) of one issuer, or one part of it."""

    id = models.UUIDField(_("định danh"), primary_key=True, default=uuid.uuid4, editable=False)
    issuer = models.TextField(_("tổ chức phát hành"))
    # SHA-256 over the issuer's certificate and the distribution point: an issuer may split its list.
    issuer_hash = models.CharField(_("khóa tổ chức phát hành"), max_length=64)
    der = BytesField(_("danh sách thu hồi (DER)"))
    this_update = models.DateTimeField(_("phát hành lúc"))
    next_update = models.DateTimeField(_("phát hành tiếp lúc"), null=True, blank=True)
    stored_at = models.DateTimeField(_("lưu lúc"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("danh sách thu hồi")
        verbose_name_plural = _("danh sách thu hồi")
        ordering = ("issuer",)
        constraints = (
            models.UniqueConstraint(fields=("issuer_hash",), name="revocation_list_one_per_issuer"),
        )

    def __str__(self) -> str:
        return self.issuer


class RevocationAnswer(models.Model):
    """The newest answer of an OCSP responder (RFC 6960) about one certificate."""

    fingerprint = models.CharField(_("dấu vân tay SHA-256"), max_length=64, primary_key=True)
    der = BytesField(_("câu trả lời (DER)"))
    revoked_at = models.DateTimeField(_("bị thu hồi lúc"), null=True, blank=True)
    reason = models.CharField(_("lý do thu hồi"), max_length=40, blank=True, default="")
    this_update = models.DateTimeField(_("trả lời lúc"))
    next_update = models.DateTimeField(_("trả lời tiếp lúc"), null=True, blank=True)
    stored_at = models.DateTimeField(_("lưu lúc"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("câu trả lời về thu hồi")
        verbose_name_plural = _("câu trả lời về thu hồi")

    def __str__(self) -> str:
        return f"{self.fingerprint[:16]}…"


class Membership(models.Model):
    """A user works for an agency, and sees that agency's documents."""

    id = models.UUIDField(_("định danh"), primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("người dùng"),
        related_name="memberships",
        on_delete=models.CASCADE,
    )
    agency = models.ForeignKey(
        Agency, verbose_name=_("cơ quan"), related_name="memberships", on_delete=models.CASCADE
    )
    joined_at = models.DateTimeField(_("tham gia lúc"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("thành viên")
        verbose_name_plural = _("thành viên")
        constraints = (models.UniqueConstraint(fields=("user", "agency"), name="membership_once"),)

    def __str__(self) -> str:
        return f"{self.user} – {self.agency}"


class Stamp(models.Model):
    """A random word that every change of the rows it stands for replaces (see agencies/stamps.py)."""

    name = models.CharField(primary_key=True, max_length=20)
    value = models.CharField(max_length=36)

    class Meta:
        verbose_name = "stamp"

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"
