"""TLS contexts as /certs shows them."""

from dataclasses import dataclass, field

import pytest
import trustme

from envoymesh.admin.certificate_view import NEVER, certificate_entry, days_until_first_expires
from envoymesh.network.tls.certificates import CertificateFacts, facts_of_pem

DAY = 86400
Named = list[tuple[str, CertificateFacts]]


@dataclass
class FakeContext:
    """The certificates of a TLS context."""

    authorities: Named = field(default_factory=list)
    own: Named = field(default_factory=list)

    def ca_certificates(self) -> Named:
        return self.authorities

    def certificate_chain(self) -> Named:
        return self.own


@pytest.fixture(scope="module")
def context() -> FakeContext:
    authority = trustme.CA()
    issued = authority.issue_cert("a.example", "127.0.0.1")
    return FakeContext(
        [("/ca.pem", facts_of_pem(authority.cert_pem.bytes())[0])],
        [("/c.pem", facts_of_pem(issued.cert_chain_pems[0].bytes())[0])],
    )


def test_both_kinds_of_certificates_are_described(context: FakeContext) -> None:
    entry = certificate_entry(context, now=0)
    assert [details.path for details in entry.ca_cert] == ["/ca.pem"]
    (details,) = entry.cert_chain
    assert details.path == "/c.pem"
    assert list(details.subject_alt_names) == [("dns", "a.example"), ("ip_address", "127.0.0.1")]
    assert int(details.serial_number, 16) > 0
    assert details.days_until_expiration == details.expiration_time // DAY
    assert details.valid_from < details.expiration_time


def test_an_expired_certificate_has_no_days_left(context: FakeContext) -> None:
    entry = certificate_entry(context, now=2**40)
    assert entry.cert_chain[0].days_until_expiration == 0
    assert days_until_first_expires([certificate_entry(FakeContext(), 0), entry]) == 0


def test_no_certificate_never_expires() -> None:
    assert days_until_first_expires([]) == NEVER == 4294967295
