"""How the secrets of systems are stored: a fast keyed hash.

The secrets are 256 random bits (see `enrolment.issue_credential`), so a slow password hash buys nothing and
would cost 0.3 s per token. Settings must name this class in PASSWORD_HASHERS (not first: people's passwords
stay slow) and its `algorithm` in OAUTH2_PROVIDER["CLIENT_SECRET_HASHER"].
"""

import hashlib
import hmac
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import BasePasswordHasher, mask_hash
from django.utils.crypto import constant_time_compare


class CredentialHasher(BasePasswordHasher):
    """`credential_hmac_sha256$<salt>$<hex>`, HMAC-SHA256 of salt and secret under settings.SECRET_KEY."""

    algorithm = "credential_hmac_sha256"

    def encode(self, password: str, salt: str) -> str:
        """The stored form of `password`, made with the present SECRET_KEY."""
        return self._encode(password, salt, settings.SECRET_KEY)

    def verify(self, password: str, encoded: str) -> bool:
        """Whether `password` gives `encoded` under the present key or one of SECRET_KEY_FALLBACKS."""
        salt = self.decode(encoded)["salt"]
        keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        return any(constant_time_compare(self._encode(password, salt, key), encoded) for key in keys)

    def decode(self, encoded: str) -> dict[str, Any]:
        """The parts of a stored secret."""
        algorithm, salt, digest = encoded.split("$", 2)
        return {"algorithm": algorithm, "salt": salt, "hash": digest}

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        """What may be shown of a stored secret."""
        parts = self.decode(encoded)
        return {"algorithm": parts["algorithm"], "salt": mask_hash(parts["salt"], show=2)}

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Nothing to even out: there are no rounds."""

    def _encode(self, password: str, salt: str, key: str | bytes) -> str:
        key_bytes = key.encode() if isinstance(key, str) else key
        # The prefix keeps this use of SECRET_KEY apart from every other one.
        message = b"agencies.hashers\0" + salt.encode() + b"\0" + password.encode()
        return f"{self.algorithm}${salt}${hmac.new(key_bytes, message, hashlib.sha256).hexdigest()}"
