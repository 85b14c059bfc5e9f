"""Tests of envoymesh.network.tls.certificates, tls_checks and tls_errors: facts, matchers, texts."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from envoymesh.network.settings import SanMatcher, ValidationSettings
from envoymesh.network.tls.certificates import CertificateFacts, facts_of_der, facts_of_pem, key_kind
from envoymesh.network.tls.checks import check_peer, dns_name_matches, needs_facts, san_matches
from envoymesh.network.tls.errors import PeerRejectedError, failure_reason, failure_stat


@pytest.fixture(scope="module")
def facts() -> CertificateFacts:
    cert = trustme.CA().issue_cert("a.test", "*.b.test", "10.0.0.1", "me@a.test", common_name="front-envoy")
    return facts_of_pem(cert.cert_chain_pems[0].bytes())[0]


def test_facts(ca: trustme.CA, facts: CertificateFacts) -> None:
    assert facts.dns_sans == ("a.test", "*.b.test")
    assert (facts.ip_sans, facts.email_sans) == (("10.0.0.1",), ("me@a.test",))
    assert "CN=front-envoy" in facts.subject
    assert len(facts.serial_number) % 2 == 0
    assert facts.valid_from < facts.expiration_time
    assert (len(facts.sha256), len(facts.spki)) == (64, 44)
    pem = ca.cert_pem.bytes()
    assert facts_of_der(load_pem_x509_certificate(pem).public_bytes(Encoding.DER)) == facts_of_pem(pem)[0]
    assert key_kind(pem) == "EC"


@pytest.mark.parametrize("broken", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_broken_certificates(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        facts_of_pem(broken)
    with pytest.raises(ValueError, match=r"."):
        facts_of_der(broken)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a.test", "A.TEST", True),
        ("*.b.test", "x.b.test", True),
        ("*.b.test", "b.test", False),
        ("*.b.test", "x.y.b.test", False),
        ("w*.b.test", "www.b.test", True),
        ("w*w.b.test", "w.b.test", False),
        ("*", "test", False),
        ("*.test", "a.test", False),
        ("x*.b.test", "xn--a.b.test", False),
        ("a.*.test", "a.b.test", False),
    ],
)
def test_wildcards(pattern: str, name: str, expected: bool) -> None:
    assert dns_name_matches(pattern, name) is expected


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        (SanMatcher("DNS", "exact", "x.b.test"), True),
        (SanMatcher("DNS", "exact", "b.test"), False),
        (SanMatcher("DNS", "suffix", ".test"), True),
        (SanMatcher("DNS", "prefix", "A.", ignore_case=True), True),
        (SanMatcher("DNS", "prefix", "A."), False),
        (SanMatcher("EMAIL", "contains", "@a"), True),
        (SanMatcher("IP_ADDRESS", "exact", "10.0.0.1"), True),
        (SanMatcher("URI", "exact", "a.test"), False),
        (SanMatcher("DNS", "safe_regex", r"a\.te.t"), True),
        (SanMatcher("DNS", "safe_regex", r"a\.te"), False),
    ],
)
def test_san_matchers(facts: CertificateFacts, matcher: SanMatcher, expected: bool) -> None:
    assert san_matches(matcher, facts) is expected


def test_hash_or_pin_is_enough(facts: CertificateFacts) -> None:
    check_peer(facts, ValidationSettings(verify_certificate_hash=("x", facts.sha256)))
    check_peer(facts, ValidationSettings(verify_certificate_hash=("x",), verify_certificate_spki=(facts.spki,)))
    with pytest.raises(PeerRejectedError) as rejected:
        check_peer(facts, ValidationSettings(verify_certificate_hash=("x",)))
    assert failure_stat(rejected.value) == "fail_verify_cert_hash"
    assert not needs_facts(ValidationSettings(trusted_ca=b"x"))
    assert not needs_facts(None)


def ssl_error(reason: str) -> ssl.SSLError:
    error: Any = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("WRONG_VERSION_NUMBER", "268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER"),
        ("TLSV1_ALERT_UNKNOWN_CA", "268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA"),
        (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "268436572:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED",
        ),
        ("ONLY_OPENSSL", "0:SSL routines:OPENSSL_internal:ONLY_OPENSSL"),
    ],
)
def test_texts(reason: str, text: str) -> None:
    assert failure_reason(ssl_error(reason)) == f"TLS_error:|{text}:TLS_error_end"
    assert failure_stat(ssl_error(reason)) == "connection_error"
