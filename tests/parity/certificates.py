"""Certificates for the TLS cases, made anew for each run, and the contexts clients shake hands with."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import trustme

from tests.parity.case import Tls

HOSTS = ("a.example.com", "b.example.com", "*.wild.example.com")


def write_certificates(folder: Path) -> None:
    """An authority, a server certificate for each of `HOSTS`, one client of the authority and one of another."""
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in HOSTS:
        _write(authority.issue_cert(name), folder, name.replace("*.", ""))
    _write(authority.issue_cert("client@example.com"), folder, "client")
    _write(stranger.issue_cert("client@example.com"), folder, "stranger")


def _write(leaf: trustme.LeafCert, folder: Path, name: str) -> None:
    leaf.private_key_pem.write_to_path(folder / f"{name}.key")
    leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")


def tls(
    *alpn: str,
    server_name: str | None = "a.example.com",
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    certificate: str = "",
    ciphers: str = "",
) -> Tls:
    """How a client shakes hands."""
    return Tls(_context(alpn, versions, certificate, ciphers), server_name)


def _context(
    alpn: Sequence[str], versions: tuple[ssl.TLSVersion, ssl.TLSVersion], certificate: str, ciphers: str
) -> Callable[[str], ssl.SSLContext]:
    def make(folder: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(f"{folder}/ca.pem")
        if ciphers:
            context.set_ciphers(ciphers)
        context.minimum_version, context.maximum_version = versions
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if certificate:
            context.load_cert_chain(f"{folder}/{certificate}.pem", f"{folder}/{certificate}.key")
        return context

    return make
