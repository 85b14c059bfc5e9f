"""What /certs and `days_until_first_cert_expiring` say of a certificate. It must not see a private key."""

from collections.abc import Iterator

from cryptography import x509

from envoymesh.admin.views import CertificateDetails

_DAY = 86400


def describe(pem: bytes, path: str, now: float) -> list[CertificateDetails]:
    """Each certificate in a PEM text; `now` is UNIX seconds. Raises ValueError when the text is no PEM."""
    return [_details(certificate, path, now) for certificate in x509.load_pem_x509_certificates(pem)]


def _details(certificate: x509.Certificate, path: str, now: float) -> CertificateDetails:
    expiration = int(certificate.not_valid_after_utc.timestamp())
    return CertificateDetails(
        path=path,
        serial_number=f"{certificate.serial_number:x}",
        subject_alt_names=list(_names(certificate)),
        days_until_expiration=max(0, int((expiration - now) // _DAY)),
        valid_from=int(certificate.not_valid_before_utc.timestamp()),
        expiration_time=expiration,
    )


def _names(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """DNS names, then URIs, then addresses, as the real Envoy lists them."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from (("dns", name) for name in names.get_values_for_type(x509.DNSName))
    yield from (("uri", name) for name in names.get_values_for_type(x509.UniformResourceIdentifier))
    yield from (("ip_address", str(address)) for address in names.get_values_for_type(x509.IPAddress))
