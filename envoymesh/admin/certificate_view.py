"""From the network room's TLS contexts to what /certs shows of them. It must not see a private key or read a clock."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from envoymesh.admin.views import CertificateDetails, CertificateEntry
from envoymesh.network.tls.certificates import CertificateFacts

_DAY = 86400

NEVER = 0xFFFF_FFFF
"""Days until the first certificate expires when there is none, as Envoy shows it."""


class ContextFacts(Protocol):
    """What is read of a `network.tls.TlsContext`: certificates, each with the path it came from."""

    def ca_certificates(self) -> Sequence[tuple[str, CertificateFacts]]:
        """The authorities that a peer's certificate must come from."""

    def certificate_chain(self) -> Sequence[tuple[str, CertificateFacts]]:
        """The certificates that are shown to peers."""


def certificate_entry(context: ContextFacts, now: float) -> CertificateEntry:
    """A TLS context's certificates; `now` is UNIX seconds."""
    return CertificateEntry(
        ca_cert=[_details(path, facts, now) for path, facts in context.ca_certificates()],
        cert_chain=[_details(path, facts, now) for path, facts in context.certificate_chain()],
    )


def days_until_first_expires(entries: Iterable[CertificateEntry]) -> int:
    """The fewest days that any certificate has left, or NEVER (`server.days_until_first_cert_expiring`)."""
    certificates = (details for entry in entries for details in (*entry.ca_cert, *entry.cert_chain))
    return min((details.days_until_expiration for details in certificates), default=NEVER)


def _details(path: str, facts: CertificateFacts, now: float) -> CertificateDetails:
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
