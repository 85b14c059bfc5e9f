"""Tests of envoymesh.network.tls.tls_context: which settings make a context, and which are refused and how."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envoymesh.errors import ConfigError
from envoymesh.network.settings import (
    CertificateSettings,
    CommonTlsSettings,
    DownstreamTlsSettings,
    UpstreamTlsSettings,
    ValidationSettings,
)
from envoymesh.network.tls.tls_context import TlsContext, downstream_context, upstream_context
from tests.support.network import settings_of


def server(certificate: CertificateSettings, **common: Any) -> TlsContext:
    fields = {name: common.pop(name) for name in list(common) if name in DownstreamTlsSettings.__slots__}
    return downstream_context(
        DownstreamTlsSettings(CommonTlsSettings((certificate,), **common, where="at.tls"), **fields)
    )


def client(**common: Any) -> TlsContext:
    return upstream_context(UpstreamTlsSettings(CommonTlsSettings(**common, where="at.tls")))


def test_default_versions_are_envoys(certificate: CertificateSettings) -> None:
    down, up = server(certificate).context, client().context
    assert (down.minimum_version, down.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert (up.minimum_version, up.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def test_versions(certificate: CertificateSettings) -> None:
    context = server(certificate, minimum_version="TLSv1_3", maximum_version="TLSv1_3").context
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    with pytest.raises(ConfigError, match="above the maximum"):
        client(minimum_version="TLSv1_3")


def test_ciphers(certificate: CertificateSettings) -> None:
    suites = ("[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]", "ECDHE-RSA-AES256-GCM-SHA384")
    names = [each["name"] for each in server(certificate, cipher_suites=suites).context.get_ciphers()]
    assert [name for name in names if not name.startswith("TLS_")] == [
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ]
    with pytest.raises(ConfigError, match=r"at\.tls: .*rejected when tried individually: NO-SUCH$"):
        server(certificate, cipher_suites=("[ECDHE-RSA-AES128-GCM-SHA256|NO-SUCH]",))


def test_curves(certificate: CertificateSettings) -> None:
    server(certificate, ecdh_curves=("X25519",))
    server(certificate, ecdh_curves=("P-256",))
    for wrong in (("P-1",), ("X25519", "P-256")):
        with pytest.raises(ConfigError, match=r"ecdh_curves|ECDH"):
            server(certificate, ecdh_curves=wrong)


def test_certificates_that_do_not_fit(ca: trustme.CA, certificate: CertificateSettings) -> None:
    other = settings_of(ca.issue_cert("b.test"))
    with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
        server(CertificateSettings(certificate.chain, other.private_key))
    with pytest.raises(ConfigError, match="private key not set"):
        server(CertificateSettings(certificate.chain, b""))
    with pytest.raises(ConfigError, match="certificate chain not set"):
        server(CertificateSettings(b"", certificate.private_key))
    with pytest.raises(ConfigError, match="no TLS certificates found"):
        downstream_context(DownstreamTlsSettings(CommonTlsSettings()))


def test_an_rsa_and_an_ec_certificate_but_not_two_of_a_kind(ca: trustme.CA) -> None:
    kinds = [
        settings_of(ca.issue_cert("a.test", key_type=kind)) for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA)
    ]
    both = downstream_context(DownstreamTlsSettings(CommonTlsSettings(tuple(kinds))))
    assert len(both.certificate_chain()) == 2
    with pytest.raises(ConfigError, match="more than one certificate with an RSA key"):
        downstream_context(DownstreamTlsSettings(CommonTlsSettings((kinds[0], kinds[0]))))


def test_an_encrypted_key_needs_its_password(certificate: CertificateSettings) -> None:
    key = serialization.load_pem_private_key(certificate.private_key, None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    server(CertificateSettings(certificate.chain, encrypted, b"secret"))
    with pytest.raises(ConfigError, match="no password is given"):
        server(CertificateSettings(certificate.chain, encrypted))
    with pytest.raises(ConfigError, match="Failed to load private key"):
        server(CertificateSettings(certificate.chain, encrypted, b"wrong"))


def test_client_certificates(ca: trustme.CA, certificate: CertificateSettings) -> None:
    trust = ValidationSettings(trusted_ca=ca.cert_pem.bytes())
    assert server(certificate).context.verify_mode == ssl.CERT_NONE
    assert server(certificate, validation=trust).context.verify_mode == ssl.CERT_OPTIONAL
    required = server(certificate, validation=trust, require_client_certificate=True)
    assert required.context.verify_mode == ssl.CERT_REQUIRED
    assert [facts.subject for _, facts in required.ca_certificates()] != []
    with pytest.raises(ConfigError, match="without validation_context"):
        server(certificate, require_client_certificate=True)
    with pytest.raises(ConfigError, match="Failed to load trusted CA"):
        client(validation=ValidationSettings(trusted_ca=b"nothing"))


def test_crl(ca: trustme.CA) -> None:
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]),
        last_update=datetime(2026, 1, 1, tzinfo=UTC),
        next_update=datetime(2036, 1, 1, tzinfo=UTC),
    )
    crl = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    trust = ValidationSettings(trusted_ca=ca.cert_pem.bytes(), crl=crl)
    assert client(validation=trust).context.verify_flags & ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    with pytest.raises(ConfigError, match="Failed to load CRL"):
        client(validation=ValidationSettings(trusted_ca=ca.cert_pem.bytes(), crl=b"x"))


def test_no_tickets(certificate: CertificateSettings) -> None:
    assert server(certificate, disable_stateless_session_resumption=True).context.options & ssl.OP_NO_TICKET


def test_key_files_leave_no_trace(certificate: CertificateSettings, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server(certificate)
    assert list(tmp_path.iterdir()) == []
