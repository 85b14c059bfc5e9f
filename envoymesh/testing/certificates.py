"""Certificates for tests: an authority of one run, and what it signs. Keys stay in the run's temporary folder."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=7)
# A test may ask for any name: one certificate is for all that tests use.
NAMES = ("localhost", "*.example.com", "example.com", "*.example", "*.test", "*.local", "*.internal")
ADDRESSES = ("127.0.0.1", "::1")


class Authority:
    """Signs what tests need; made when first asked for. Attributes are PEM."""

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def _leaf_key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def certificate(self) -> str:
        """The authority's own."""
        builder = self._builder("envoymesh tests", self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return _pem(builder.sign(self._key, hashes.SHA256()))

    @cached_property
    def server_certificate(self) -> str:
        """For listeners, and for clients that are asked for one."""
        names: list[x509.GeneralName] = [x509.DNSName(each) for each in NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in ADDRESSES]
        builder = self._builder("localhost", self._leaf_key)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        return _pem(builder.sign(self._key, hashes.SHA256()))

    @cached_property
    def server_key(self) -> str:
        """The key of `server_certificate`."""
        form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
        return self._leaf_key.private_bytes(encoding, form, serialization.NoEncryption()).decode()

    def _builder(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "envoymesh tests")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
        )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
