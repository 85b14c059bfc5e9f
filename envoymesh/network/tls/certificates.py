"""Facts of certificates: for the checks after a handshake, for `%DOWNSTREAM_PEER_...%` and for the admin's /certs.

`cryptography` is imported when a certificate is first looked at. This module must not know connections or contexts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate. `serial_number` and digests are hex, as admin's /certs has them; `spki`'s SHA-256 is base64."""

    subject: str
    issuer: str
    serial_number: str
    dns_sans: tuple[str, ...]
    uri_sans: tuple[str, ...]
    email_sans: tuple[str, ...]
    ip_sans: tuple[str, ...]
    valid_from: datetime
    expiration_time: datetime
    sha1: str
    sha256: str
    spki: str
    pem: str

    @property
    def all_sans(self) -> tuple[str, ...]:
        """Every subject alternative name, in Envoy's order."""
        return self.dns_sans + self.uri_sans + self.email_sans + self.ip_sans


@lru_cache(maxsize=256)
def facts_of_der(der: bytes) -> CertificateFacts:
    """Read a DER certificate.

    Raises:
        ValueError: it isn't one.
    """
    from cryptography import x509

    return _facts(x509.load_der_x509_certificate(der))


def facts_of_pem(pem: bytes) -> list[CertificateFacts]:
    """Read every certificate of a PEM text.

    Raises:
        ValueError: there is none, or one is broken.
    """
    from cryptography import x509

    return [_facts(certificate) for certificate in x509.load_pem_x509_certificates(pem)]


def key_kind(pem: bytes) -> str:
    """The kind of the public key of the first certificate: ``RSA``, ``EC`` or another name.

    Raises:
        ValueError: there is no certificate, or it is broken.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = x509.load_pem_x509_certificates(pem)[0].public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    return "EC" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        names: Iterable[x509.GeneralName] = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        names = ()
    names = list(names)
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    der = certificate.public_bytes(Encoding.DER)
    serial = f"{certificate.serial_number:x}"
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=serial.zfill(len(serial) + len(serial) % 2),
        dns_sans=tuple(name.value for name in names if isinstance(name, x509.DNSName)),
        uri_sans=tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)),
        email_sans=tuple(name.value for name in names if isinstance(name, x509.RFC822Name)),
        ip_sans=tuple(str(name.value) for name in names if isinstance(name, x509.IPAddress)),
        valid_from=certificate.not_valid_before_utc,
        expiration_time=certificate.not_valid_after_utc,
        sha1=hashlib.sha1(der, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(der).hexdigest(),
        spki=base64.b64encode(hashlib.sha256(spki).digest()).decode(),
        pem=certificate.public_bytes(Encoding.PEM).decode(),
    )
