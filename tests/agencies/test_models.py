"""What the database itself refuses, whoever asks."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.hashers import check_password, identify_hasher, make_password
from django.core.management import call_command
from django.db import IntegrityError, models, transaction
from django.test import override_settings

from agencies import models as rows
from agencies.models import Agency, Alias, Certificate, Credential, Membership, RevocationList, System

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
OLD_KEY = "old-key-for-tests-only-" * 3
NEW_KEY = "new-key-for-tests-only-" * 3


def agency(code: str = "H29.01", **facts: object) -> Agency:
    return Agency.objects.create(code=code, folded=code.casefold(), name="Sở A", search_text=code, **facts)


def refuses(name: str, row: models.Model) -> None:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        row.save(force_insert=True)
    # SQLite names the columns of a unique constraint, not the constraint.
    assert name in str(refusal.value) or "UNIQUE" in str(refusal.value)


@pytest.mark.django_db
def test_one_current_code_belongs_to_one_agency() -> None:
    agency("H29.01")
    refuses(
        "agency_code_unique",
        Agency(code="h29.01", folded="h29.01", name="Sở B", search_text=""),
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "start", "end"),
    [
        ("alias_one_start", NOW, NOW + timedelta(days=9)),
        ("alias_one_open_end", NOW + timedelta(days=1), None),
        ("alias_interval_not_empty", NOW + timedelta(days=2), NOW + timedelta(days=1)),
    ],
)
def test_codes_that_contradict_each_other_are_not_stored(
    constraint: str, start: datetime, end: datetime | None
) -> None:
    owner = agency()
    Alias.objects.create(agency=owner, code="X", folded="x", valid_from=NOW, valid_until=None)
    refuses(constraint, Alias(agency=owner, code="X", folded="x", valid_from=start, valid_until=end))


@pytest.mark.django_db
def test_a_code_has_one_beginning_without_a_date() -> None:
    owner = agency()
    Alias.objects.create(agency=owner, code="X", folded="x", valid_until=NOW)
    later = NOW + timedelta(days=1)
    refuses("alias_one_open_start", Alias(agency=owner, code="X", folded="x", valid_until=later))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "facts"),
    [
        ("system_push_has_callback", {"delivery": "push"}),
        ("system_kind", {"kind": "other"}),
        ("system_delivery", {"delivery": "other", "callback_url": "https://a.example/in"}),
        ("system_signature_policy", {"signature_policy": ""}),
        ("system_duplicate_policy", {"duplicate_policy": "perhaps"}),
        ("system_name_present", {"name": ""}),
    ],
)
def test_a_system_that_cannot_work_is_not_stored(constraint: str, facts: dict[str, str]) -> None:
    refuses(constraint, System(**{"name": "QLVB", **facts}))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "facts"),
    [
        ("credential_client_credentials_only", {"client_type": "public"}),
        ("credential_client_credentials_only", {"authorization_grant_type": "password"}),
        ("credential_secret_hashed", {"hash_client_secret": False}),
    ],
)
def test_only_confidential_clients_with_hashed_secrets_exist(
    constraint: str, facts: dict[str, object]
) -> None:
    usual = {"client_type": "confidential", "authorization_grant_type": "client-credentials"}
    system = System.objects.create(name="QLVB")
    refuses(constraint, Credential(system=system, scopes="send", **{**usual, **facts}))


@pytest.mark.django_db
def test_a_revoked_certificate_has_a_reason() -> None:
    facts = {"der": b"1", "fingerprint": "f" * 64, "subject": "", "issuer": "", "serial": "1"}
    refuses(
        "certificate_revoked_with_reason",
        Certificate(agency=agency(), not_before=NOW, not_after=NOW, revoked_at=NOW, **facts),
    )


@pytest.mark.django_db
def test_an_agency_is_not_its_own_parent() -> None:
    own = agency()
    own.parent = own
    with pytest.raises(IntegrityError, match="agency_not_its_own_parent"), transaction.atomic():
        own.save()


@pytest.mark.django_db
def test_bytes_come_back_as_bytes() -> None:
    System.objects.create(name="QLVB", webhook_secrets=b"\x00\xff")
    assert System.objects.get().webhook_secrets == b"\x00\xff"
    assert type(System.objects.get().webhook_secrets) is bytes


@pytest.mark.django_db
def test_the_migration_says_what_the_models_say() -> None:
    call_command("makemigrations", "agencies", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("model", [Agency, Alias, System, Certificate, RevocationList, Membership])
def test_every_field_and_model_has_a_vietnamese_name(model: type[models.Model]) -> None:
    assert str(model._meta.verbose_name) != model.__name__.lower()
    for field in model._meta.get_fields():
        if isinstance(field, models.Field):
            assert str(field.verbose_name) != field.name.replace("_", " "), field


def test_every_constraint_has_a_name_of_its_own() -> None:
    found = [model for model in vars(rows).values() if isinstance(model, type)]
    tables = [m for m in found if issubclass(m, models.Model) and not m._meta.abstract]
    names = [c.name for m in tables for c in m._meta.constraints]
    assert len(names) == len(set(names)) > 15


def test_a_secret_is_stored_as_a_keyed_hash() -> None:
    with override_settings(SECRET_KEY=OLD_KEY):
        stored = make_password("s3cret", hasher="credential_hmac_sha256")
        assert identify_hasher(stored).algorithm == "credential_hmac_sha256"
        assert check_password("s3cret", stored)
        assert not check_password("s3cres", stored)
        assert "s3cret" not in stored
        assert stored != make_password("s3cret", hasher="credential_hmac_sha256")


def test_a_stored_secret_is_worth_nothing_without_the_key_of_the_hub() -> None:
    with override_settings(SECRET_KEY=OLD_KEY):
        stored = make_password("s3cret", hasher="credential_hmac_sha256")
    with override_settings(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=[]):
        assert not check_password("s3cret", stored)
    with override_settings(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=[OLD_KEY]):
        assert check_password("s3cret", stored)
