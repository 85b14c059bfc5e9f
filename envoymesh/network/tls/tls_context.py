"""TLS contexts of downstream and upstream sides, made from settings once; and the facts of each finished handshake.

The rules:
- Everything that OpenSSL can't do as Envoy asks is an error here, when the context is made, never in a handshake.
- Keys go to OpenSSL through an anonymous file that has no name and dies with its descriptor.

This module must not know connections.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from envoymesh.errors import ConfigError
from envoymesh.network.api import CertificateInfo
from envoymesh.network.settings import (
    CertificateSettings,
    CommonTlsSettings,
    DownstreamTlsSettings,
    UpstreamTlsSettings,
    ValidationSettings,
)
from envoymesh.network.stats import SslStats
from envoymesh.network.tls.certificates import CertificateFacts, facts_of_der, facts_of_pem, key_kind
from envoymesh.network.tls.checks import check_names, check_peer, needs_facts
from envoymesh.network.tls.errors import PeerRejectedError
from envoymesh.network.tls.server_flight import read_server_flight

_VERSIONS = {
    "TLSv1_0": ssl.TLSVersion.TLSv1,
    "TLSv1_1": ssl.TLSVersion.TLSv1_1,
    "TLSv1_2": ssl.TLSVersion.TLSv1_2,
    "TLSv1_3": ssl.TLSVersion.TLSv1_3,
}
_DEFAULT_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""Envoy's list for TLS 1.2, without its equal-preference brackets, which OpenSSL has no word for."""

_CURVES = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1", "X25519": "X25519"}


@dataclass(slots=True)
class Handshake:
    """Implements `envoymesh.network.api.TlsInfo`."""

    version: str
    cipher: str
    alpn: str
    sni: str
    peer_certificate_presented: bool
    peer_certificate_validated: bool
    peer: CertificateInfo | None
    local: CertificateInfo | None
    session_reused: bool


class TlsContext:
    """One side's TLS, shared by its connections. Implements `envoymesh.network.api.ClientTls` for the upstream side.

    Args:
        context: OpenSSL's.
        common: what it was made from.
        stats: the owner's ssl. stats, or None.
        sni: the server name to send; empty for none, and on the downstream side.
        subject_alt_names: the peer's certificate must have one of them; empty asks for none (upstream).
        resume: whether to offer the last session to the next connection (upstream).
        require_sni: whether a client must name a server (downstream).
    """

    __slots__ = (
        "_local",
        "_resume",
        "_sessions",
        "asked",
        "common",
        "context",
        "require_sni",
        "server_side",
        "sni",
        "stats",
        "subject_alt_names",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        common: CommonTlsSettings,
        stats: SslStats | None,
        *,
        sni: str = "",
        resume: bool = False,
        require_sni: bool = False,
        subject_alt_names: tuple[str, ...] = (),
    ) -> None:
        self.context = context
        self.common = common
        self.stats = stats
        self.sni = sni
        self.require_sni = require_sni
        self.subject_alt_names = subject_alt_names
        self.server_side = context.protocol == ssl.PROTOCOL_TLS_SERVER
        # The server name that the handshake step under way has shown.
        self.asked = ""
        if self.server_side:
            context.sni_callback = self._on_server_name
        self._resume = resume
        # The last one, the name that it was for, and its group and signature; all names share it (`for_names`).
        self._sessions: list[tuple[str, ssl.SSLSession, tuple[str, str]]] = []
        chain = self.certificate_chain()
        self._local = chain[0][1] if chain else None
        if stats is not None:
            own, authorities = (
                [facts.expiration_time for _, facts in each] for each in (chain, self.ca_certificates())
            )
            stats.loaded("server" if self.server_side else "client", own, authorities)

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """A new connection's TLS state."""
        tls = self.context.wrap_bio(incoming, outgoing, server_side=self.server_side, server_hostname=self.sni or None)
        for name, session, _ in self._sessions:
            if name == self.sni:
                tls.session = session
        return tls

    def for_names(self, server_name: str, subject_alt_names: tuple[str, ...]) -> TlsContext:
        """The same TLS for other names, see `ClientTls.for_names`; no session is taken from one name to another."""
        named = TlsContext(
            self.context,
            self.common,
            None,
            sni=server_name or self.sni,
            resume=self._resume,
            subject_alt_names=subject_alt_names,
        )
        named._sessions = self._sessions
        named.stats = self.stats  # given afterwards, since these are no new certificates to be shown
        return named

    def finish(self, tls: ssl.SSLObject, sni: str, flight: bytes) -> Handshake:
        """Check the peer's certificate, count, and say what was agreed.

        Args:
            sni: what the client asked for.
            flight: what the server sent in the handshake.

        Raises:
            PeerRejectedError: a check failed.
        """
        if self.require_sni and not sni:
            raise PeerRejectedError("connection_error", "no SNI in the client hello")
        der = tls.getpeercert(binary_form=True)
        facts = self._check(der)
        validated = der is not None and (
            self.context.verify_mode != ssl.CERT_NONE
            or bool(self.subject_alt_names)
            or needs_facts(self.common.validation)
        )
        cipher = tls.cipher()
        handshake = Handshake(
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            alpn=tls.selected_alpn_protocol() or "",
            sni=sni,
            peer_certificate_presented=der is not None,
            peer_certificate_validated=validated,
            peer=facts,
            local=self._local,
            session_reused=bool(tls.session_reused),
        )
        shown = read_server_flight(flight)
        if handshake.session_reused and self._sessions:
            shown = self._sessions[0][2]  # a resumed one shows neither, and has those of its session
        self._count(handshake, *shown)
        if self._resume and tls.version() == "TLSv1.2":
            self._sessions[:] = [] if tls.session is None else [(self.sni, tls.session, shown)]
        return handshake

    def failed(self, stat: str) -> None:
        """Count a failed handshake."""
        if self.stats is not None:
            self.stats.failure(stat)

    def certificate_chain(self) -> list[tuple[str, CertificateFacts]]:
        """(path, facts) of the leaf of each own certificate, for admin's /certs."""
        return [(own.chain_path, facts_of_pem(own.chain)[0]) for own in self.common.certificates]

    def ca_certificates(self) -> list[tuple[str, CertificateFacts]]:
        """(path, facts) of each trusted CA, for admin's /certs."""
        validation = self.common.validation
        if validation is None or not validation.trusted_ca:
            return []
        return [(validation.trusted_ca_path, facts) for facts in facts_of_pem(validation.trusted_ca)]

    def _on_server_name(self, _tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        self.asked = name or ""

    def _check(self, der: bytes | None) -> CertificateFacts | None:
        validation = self.common.validation
        if der is None:
            if (self.subject_alt_names or needs_facts(validation)) and not self.server_side:
                raise PeerRejectedError("fail_verify_no_cert", "no certificate")
            return None
        try:
            facts = facts_of_der(der)
        except ValueError as error:
            if self.subject_alt_names or needs_facts(validation):
                raise PeerRejectedError("fail_verify_error", "unreadable certificate") from error
            return None
        if self.subject_alt_names:
            if validation is None or not (_trusts(validation) or needs_facts(validation)):
                raise PeerRejectedError("", "")  # as in Envoy, for where nobody is trusted a name means nothing
            check_names(facts, self.subject_alt_names)
        if validation is not None:
            check_peer(facts, validation)
        return facts

    def _count(self, done: Handshake, group: str, signature: str) -> None:
        if self.stats is not None:
            self.stats.handshake(
                done.version,
                done.cipher,
                group,
                "" if self.server_side else signature,
                session_reused=done.session_reused,
                peer_certificate=done.peer_certificate_presented,
            )

    def __repr__(self) -> str:
        side = "server" if self.server_side else f"client to {self.sni or 'no SNI'}"
        return f"TlsContext({side}, {self.common.where})"


def downstream_context(settings: DownstreamTlsSettings, stats: SslStats | None = None) -> TlsContext:
    """Make the TLS of a filter chain from its DownstreamTlsContext.

    Raises:
        ConfigError: a certificate, key, CA or cipher that OpenSSL doesn't take.
    """
    common = settings.common
    if not common.certificates:
        raise ConfigError("no TLS certificates found for server context", common.where)
    context = _context(ssl.PROTOCOL_TLS_SERVER, common, "TLSv1_3")
    if not settings.prefer_client_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.disable_stateless_session_resumption:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    validation = common.validation
    if validation is not None and _trusts(validation):
        context.verify_mode = ssl.CERT_REQUIRED if settings.require_client_certificate else ssl.CERT_OPTIONAL
    elif settings.require_client_certificate or needs_facts(validation):
        raise ConfigError("a client certificate cannot be checked without validation_context.trusted_ca", common.where)
    return TlsContext(context, common, stats, require_sni=settings.require_sni)


def upstream_context(settings: UpstreamTlsSettings, stats: SslStats | None = None) -> TlsContext:
    """Make the TLS of a cluster from its UpstreamTlsContext; without trusted_ca the server is not verified.

    Raises:
        ConfigError: a certificate, key, CA or cipher that OpenSSL doesn't take.
    """
    common = settings.common
    context = _context(ssl.PROTOCOL_TLS_CLIENT, common, "TLSv1_2")
    validation = common.validation
    if validation is not None and _trusts(validation):
        context.verify_mode = ssl.CERT_REQUIRED
    return TlsContext(context, common, stats, sni=settings.sni, resume=settings.max_session_keys > 0)


def _trusts(validation: ValidationSettings) -> bool:
    return bool(validation.trusted_ca) or validation.system_root_certs


def _context(protocol: int, common: CommonTlsSettings, default_maximum: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_versions(context, common, default_maximum)
    _set_ciphers(context, common)
    _set_curve(context, common)
    _load_certificates(context, common)
    if common.alpn_protocols:
        context.set_alpn_protocols(list(common.alpn_protocols))
    if common.validation is not None:
        _load_trust(context, common.validation, common.where)
    return context


def _set_versions(context: ssl.SSLContext, common: CommonTlsSettings, default_maximum: str) -> None:
    minimum = _VERSIONS.get(common.minimum_version, ssl.TLSVersion.TLSv1_2)
    maximum = _VERSIONS.get(common.maximum_version, _VERSIONS[default_maximum])
    if minimum > maximum:
        raise ConfigError(
            f"tls_minimum_protocol_version is above the maximum (values: {minimum.name}, {maximum.name})", common.where
        )
    context.minimum_version = minimum
    context.maximum_version = maximum


def _set_ciphers(context: ssl.SSLContext, common: CommonTlsSettings) -> None:
    names = [name for suite in common.cipher_suites for name in suite.strip("[]").split("|")]
    rejected = [name for name in names if not _knows_cipher(name)]
    if rejected:
        raise ConfigError(
            f"Failed to initialize cipher suites {':'.join(common.cipher_suites)}. "
            f"The following ciphers were rejected when tried individually: {', '.join(rejected)}",
            common.where,
        )
    context.set_ciphers(":".join(names or _DEFAULT_CIPHERS))


def _knows_cipher(name: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(name)
    except ssl.SSLError:
        return False
    return True


def _set_curve(context: ssl.SSLContext, common: CommonTlsSettings) -> None:
    if not common.ecdh_curves:
        return
    if len(common.ecdh_curves) > 1:
        raise ConfigError("more than one ecdh_curves is not supported", common.where)
    name = common.ecdh_curves[0]
    if name not in _CURVES:
        raise ConfigError(f"Failed to initialize ECDH curves {name}", common.where)
    context.set_ecdh_curve(_CURVES[name])


def _load_certificates(context: ssl.SSLContext, common: CommonTlsSettings) -> None:
    kinds: set[str] = set()
    for own in common.certificates:
        if not own.chain or not own.private_key:
            what = "private key" if own.chain else "certificate chain"
            raise ConfigError(
                f"Failed to load incomplete certificate from {own.chain_path}: {what} not set", common.where
            )
        try:
            kind = key_kind(own.chain)
        except ValueError as error:
            raise ConfigError(f"Failed to load certificate chain from {own.chain_path}", common.where) from error
        if kind in kinds:
            raise ConfigError(f"more than one certificate with an {kind} key is not supported", common.where)
        kinds.add(kind)
        _load_certificate(context, own, common.where)


def _load_certificate(context: ssl.SSLContext, own: CertificateSettings, where: str) -> None:
    def no_password() -> bytes:
        raise ValueError("the key is encrypted and no password is given")

    with _file_of(own.chain + b"\n" + own.private_key) as name:
        try:
            context.load_cert_chain(name, password=own.password or no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            why = getattr(error, "reason", None) or str(error)
            raise ConfigError(f"Failed to load private key of {own.chain_path}, Cause: {why}", where) from error


def _load_trust(context: ssl.SSLContext, validation: ValidationSettings, where: str) -> None:
    if validation.system_root_certs:
        context.load_default_certs()
    try:
        if validation.trusted_ca:
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata=validation.trusted_ca.decode("latin-1"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"Failed to load trusted CA certificates from {validation.trusted_ca_path}", where) from error
    if not validation.crl:
        return
    leaf_only = validation.only_verify_leaf_cert_crl
    check = ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF if leaf_only else ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    context.verify_flags |= check
    with _file_of(validation.crl) as name:
        try:
            context.load_verify_locations(cafile=name)
        except ssl.SSLError as error:
            raise ConfigError("Failed to load CRL", where) from error


@contextmanager
def _file_of(data: bytes) -> Iterator[str]:
    """A name under which OpenSSL can read bytes that lie on no disk (where the system has memfd)."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("envoymesh-tls"), "wb", buffering=0) as file:
            file.write(data)
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.NamedTemporaryFile(buffering=0) as named:
        named.write(data)
        yield named.name
