"""Commands that print what a TLS handshake told, downstream and upstream.

It must not read certificates: `TlsInfo` has their facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from envoymesh.formatter.context import FormatterContext, Operator, Value, as_latin1
from envoymesh.network.api import TlsInfo

_Fact = Callable[[TlsInfo], str]


def _downstream(fact: _Fact) -> Operator:
    def show(context: FormatterContext) -> Value:
        tls = context.info.downstream.tls
        return None if tls is None else as_latin1(fact(tls)) or None

    return show


def _upstream(fact: _Fact) -> Operator:
    def show(context: FormatterContext) -> Value:
        connection = context.info.upstream_connection
        tls = None if connection is None else connection.tls
        return None if tls is None else as_latin1(fact(tls)) or None

    return show


_BOTH: Mapping[str, _Fact] = {
    "TLS_VERSION": lambda tls: tls.version,
    "TLS_CIPHER": lambda tls: tls.cipher,
    "PEER_SUBJECT": lambda tls: tls.subject_peer,
    "PEER_URI_SAN": lambda tls: ",".join(tls.uri_sans_peer),
    "PEER_DNS_SAN": lambda tls: ",".join(tls.dns_sans_peer),
}

TLS: Mapping[str, Operator] = {
    **{f"DOWNSTREAM_{name}": _downstream(fact) for name, fact in _BOTH.items()},
    **{f"UPSTREAM_{name}": _upstream(fact) for name, fact in _BOTH.items()},
    "DOWNSTREAM_LOCAL_SUBJECT": _downstream(lambda tls: tls.subject_local),
    "DOWNSTREAM_PEER_FINGERPRINT_256": _downstream(lambda tls: tls.sha256_peer_digest),
}
