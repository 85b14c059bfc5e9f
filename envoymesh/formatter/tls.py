"""Commands that print what a TLS handshake told, downstream and upstream.

It must not read certificates: `CertificateInfo` has their facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from envoymesh.formatter.context import FormatterContext, Operator, Value, as_latin1
from envoymesh.formatter.parse import Syntax
from envoymesh.formatter.times import compile_time
from envoymesh.network.api import CertificateInfo, TlsInfo

_Find = Callable[[FormatterContext], TlsInfo | None]
_Choose = Callable[[TlsInfo], CertificateInfo | None]


def _downstream(context: FormatterContext) -> TlsInfo | None:
    return context.info.downstream.tls


def _upstream(context: FormatterContext) -> TlsInfo | None:
    connection = context.info.upstream_connection
    return None if connection is None else connection.tls


def _peer(tls: TlsInfo) -> CertificateInfo | None:
    return tls.peer


def _local(tls: TlsInfo) -> CertificateInfo | None:
    return tls.local


def _of_handshake(find: _Find, fact: Callable[[TlsInfo], str]) -> Operator:
    def show(context: FormatterContext) -> Value:
        tls = find(context)
        return None if tls is None else as_latin1(fact(tls)) or None

    return show


def _of_certificate(find: _Find, choose: _Choose, fact: Callable[[CertificateInfo], str]) -> Operator:
    def show(context: FormatterContext) -> Value:
        tls = find(context)
        certificate = None if tls is None else choose(tls)
        return None if certificate is None else as_latin1(fact(certificate)) or None

    return show


def _validity(find: _Find, moment: Callable[[CertificateInfo], float]) -> Callable[[str], Operator]:
    def make(pattern: str) -> Operator:
        write = compile_time(pattern)

        def show(context: FormatterContext) -> Value:
            tls = find(context)
            return None if tls is None or tls.peer is None else write(moment(tls.peer))

        return show

    return make


_SANS: Mapping[str, Callable[[CertificateInfo], str]] = {
    "URI_SAN": lambda certificate: ",".join(certificate.uri_sans),
    "DNS_SAN": lambda certificate: ",".join(certificate.dns_sans),
    "IP_SAN": lambda certificate: ",".join(certificate.ip_sans),
}
_PEER: Mapping[str, Callable[[CertificateInfo], str]] = {
    "PEER_SUBJECT": lambda certificate: certificate.subject,
    "PEER_ISSUER": lambda certificate: certificate.issuer,
    "PEER_CERT": lambda certificate: quote(certificate.pem, safe=""),
    **{f"PEER_{name}": fact for name, fact in _SANS.items()},
}
_DOWNSTREAM_PEER: Mapping[str, Callable[[CertificateInfo], str]] = {
    "PEER_SERIAL": lambda certificate: certificate.serial_number,
    "PEER_FINGERPRINT_1": lambda certificate: certificate.sha1,
    "PEER_FINGERPRINT_256": lambda certificate: certificate.sha256,
    "PEER_EMAIL_SAN": lambda certificate: ",".join(certificate.email_sans),
}
_DOWNSTREAM_LOCAL: Mapping[str, Callable[[CertificateInfo], str]] = {
    "LOCAL_SUBJECT": lambda certificate: certificate.subject,
    "LOCAL_EMAIL_SAN": lambda certificate: ",".join(certificate.email_sans),
}


def _side(name: str, find: _Find) -> dict[str, Operator]:
    """Commands that both sides have."""
    return {
        f"{name}_TLS_VERSION": _of_handshake(find, lambda tls: tls.version),
        f"{name}_TLS_CIPHER": _of_handshake(find, lambda tls: tls.cipher),
        **{f"{name}_{fact}": _of_certificate(find, _peer, show) for fact, show in _PEER.items()},
        **{f"{name}_LOCAL_{fact}": _of_certificate(find, _local, show) for fact, show in _SANS.items()},
    }


TLS: Mapping[str, Operator] = {
    **_side("DOWNSTREAM", _downstream),
    **_side("UPSTREAM", _upstream),
    **{f"DOWNSTREAM_{fact}": _of_certificate(_downstream, _peer, show) for fact, show in _DOWNSTREAM_PEER.items()},
    **{f"DOWNSTREAM_{fact}": _of_certificate(_downstream, _local, show) for fact, show in _DOWNSTREAM_LOCAL.items()},
}

VALIDITY: Mapping[str, tuple[Syntax, Callable[[str], Operator]]] = {
    f"{name}_PEER_CERT_V_{fact}": (Syntax.OPTIONAL, _validity(find, moment))
    for name, find in (("DOWNSTREAM", _downstream), ("UPSTREAM", _upstream))
    for fact, moment in (
        ("START", lambda certificate: certificate.valid_from.timestamp()),
        ("END", lambda certificate: certificate.expiration_time.timestamp()),
    )
}
