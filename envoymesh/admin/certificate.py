"""What /certs and `days_until_first_cert_expiring` say of a certificate. It must not see a private key."""

from collections.abc import Iterable

from envoymesh.admin.views import CertificateDetails
from envoymesh.network.certificates import CertificateFacts, facts_of_pem

_DAY = 86400

NEVER = 0xFFFF_FFFF
"""Days until the first certificate expires when there is none, as Envoy shows it."""


def describe(pem: bytes, path: str, now: float) -> list[CertificateDetails]:
    """Each certificate in a PEM text; `now` is UNIX seconds. Raises ValueError when there is none."""
    return [_details(facts, path, now) for facts in facts_of_pem(pem)]


def days_until_first_expires(certificates: Iterable[CertificateDetails]) -> int:
    """The fewest days that any of them has left, or NEVER."""
    return min((certificate.days_until_expiration for certificate in certificates), default=NEVER)


def _details(facts: CertificateFacts, path: str, now: float) -> CertificateDetails:
    expiration = int(facts.expiration_time.timestamp())
    names = [("dns", name) for name in facts.dns_sans]
    names += [("uri", name) for name in facts.uri_sans]
    names += [("ip_address", name) for name in facts.ip_sans]
    return CertificateDetails(
        path=path,
        serial_number=facts.serial_number,
        subject_alt_names=names,
        days_until_expiration=max(0, int((expiration - now) // _DAY)),
        valid_from=int(facts.valid_from.timestamp()),
        expiration_time=expiration,
    )
