"""CAdES signatures by the hub's seal (ETSI EN 319 122-1), detached, as ASiC-E wants them. Home of pyHanko."""

import asyncio

from asn1crypto import algos, x509
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from exchange.keys import Seal


class _SealSigner(Signer):
    """Lets the seal itself do the arithmetic, wherever its key lies."""

    def __init__(self, seal: Seal) -> None:
        leaf, *above = [x509.Certificate.load(der) for der in seal.chain]
        registry = SimpleCertificateStore()
        registry.register_multiple(above)
        mechanism = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
        super().__init__(signing_cert=leaf, cert_registry=registry, signature_mechanism=mechanism)
        self._seal = seal

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        """The signature in DER."""
        return self._seal.sign(data)


def sign(data: bytes, seal: Seal) -> bytes:
    """A detached CAdES-B-B signature over `data`, in DER."""
    made = asyncio.run(
        _SealSigner(seal).async_sign_general_data(data, "sha256", detached=True, use_cades=True)
    )
    dumped: bytes = made.dump()
    return dumped
