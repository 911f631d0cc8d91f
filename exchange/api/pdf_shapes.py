"""How a report on PDF signatures looks in JSON; `exchange.pdfreports` says what each value means."""

import json
from hashlib import sha256
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from exchange.models import PdfReport, PdfVerdict


class PdfSignerSerializer(serializers.Serializer[Any]):
    """Who signed, and what the certificate is worth; personal identifiers are masked."""

    name = serializers.CharField()
    organisation = serializers.CharField()
    kind = serializers.CharField(help_text="organisation, person, unknown")
    fingerprint = serializers.CharField(help_text="SHA-256 of the certificate")
    issuer = serializers.CharField()
    not_before = serializers.DateTimeField()
    not_after = serializers.DateTimeField()
    trust = serializers.CharField(
        help_text="trusted, untrusted, expired, not-yet-valid, revoked: at the time of a trusted stamp, else "
        "when the report was made; only the roots that this hub is set up with count"
    )
    revocation = serializers.CharField(
        help_text="good, stale, unknown (nothing is stored), none (no source is named); empty unless trusted"
    )


class PdfStampSerializer(serializers.Serializer[Any]):
    """The time stamp on a signature (RFC 3161)."""

    state = serializers.CharField(help_text="intact, broken, unreadable")
    at = serializers.DateTimeField(allow_null=True)
    signer = PdfSignerSerializer(allow_null=True, help_text="The time-stamp authority")


class PdfSignatureSerializer(serializers.Serializer[Any]):
    """One signature inside a PDF."""

    type = serializers.CharField(help_text="signature, or timestamp: on the whole document")
    state = serializers.CharField(help_text="intact, weak (SHA-1 or older), broken, unreadable")
    revision = serializers.IntegerField(help_text="Which revision of the file it made; 0: unreadable")
    covers = serializers.CharField(
        help_text="file: all of it; revision: all there was when it was made; part; empty: unreadable"
    )
    later = serializers.CharField(
        help_text="What came after it: none, allowed (more signatures, form fields), changed, unknown"
    )
    algorithm = serializers.CharField()
    claimed_at = serializers.DateTimeField(allow_null=True, help_text="Its signer's word")
    stamp = PdfStampSerializer(allow_null=True)
    signer = PdfSignerSerializer(allow_null=True)


class PdfFileSerializer(serializers.Serializer[Any]):
    """One PDF attachment."""

    number = serializers.IntegerField(help_text="Its place among the attachments, from 1")
    name = serializers.CharField()
    sha256 = serializers.CharField()
    size = serializers.IntegerField()
    state = serializers.CharField(
        help_text="read, encrypted, unreadable, too-large, too-costly (what was found before a limit is kept)"
    )
    revisions = serializers.IntegerField()
    signatures = PdfSignatureSerializer(many=True)


class PdfReportSerializer(serializers.Serializer[PdfReport]):
    """The report on the signatures inside the PDF attachments of a package."""

    verdict = serializers.ChoiceField(PdfVerdict.choices, help_text="Of several signatures, the worst counts")
    checked_at = serializers.DateTimeField(allow_null=True, help_text="null while it is being made")
    sha256 = serializers.SerializerMethodField(help_text="Of `text`; stands in the event SignatureReport")
    text = serializers.CharField(help_text="The exact JSON that was hashed, with `files`; empty until then")
    files = serializers.SerializerMethodField()

    def get_sha256(self, report: PdfReport) -> str:
        """Of the exact text, "" until there is one."""
        return sha256(report.text.encode()).hexdigest() if report.text else ""

    @extend_schema_field(PdfFileSerializer(many=True))
    def get_files(self, report: PdfReport) -> Any:
        """What `text` says."""
        return json.loads(report.text)["files"] if report.text else []
