"""TLS cases: versions, ALPN, server names and client certificates."""

from __future__ import annotations

from ssl import TLSVersion

from tests.integration.exchanges import get
from tests.integration.harness import ShutdownWrite, Wait
from tests.integration.outcomes import shown
from tests.parity.case import Case, Tls
from tests.parity.certificates import tls
from tests.parity.frames import ask, show_http2

TLS = "TLS"
V12 = (TLSVersion.TLSv1_2, TLSVersion.TLSv1_2)
V13 = (TLSVersion.TLSv1_3, TLSVersion.TLSv1_3)


def case(name: str, on: str, how: Tls, path: str = "/u/a") -> Case:
    # With TLS 1.3 a refusal comes after the handshake: what is sent before it would meet a closed connection.
    steps = (Wait(0.1), get(path)) if on.startswith(("tls-client", "tls-o", "tls-san")) else (get(path),)
    return Case(TLS, name, steps, on, tls=how, bytes_counted=False)


def http2(name: str, on: str, how: Tls, path: str = "/u/a") -> Case:
    return Case(TLS, name, (ask(path=path),), on, show=show_http2, tls=how, bytes_counted=False)


CASES = [
    case("get", "tls", tls()),
    case("http/1.1 by alpn", "tls", tls("http/1.1")),
    http2("h2 by alpn", "tls", tls("h2")),
    http2("h2 first", "tls", tls("h2", "http/1.1")),
    http2("h2 last", "tls", tls("http/1.1", "h2")),
    http2("h2 without alpn", "tls", tls()),
    http2("h2 where http/1.1 was agreed", "tls", tls("http/1.1")),
    case("http/1.1 where h2 was agreed", "tls", tls("h2")),
    case("unknown alpn", "tls", tls("spdy/9")),
    case("alpn of a listener without", "tls-no-alpn", tls("h2", "http/1.1")),
    http2("h2 on a listener without alpn", "tls-no-alpn", tls()),
    case("only http/1.1 offered", "tls-h1", tls("h2", "http/1.1")),
    case("only http/1.1 offered, h2 asked", "tls-h1", tls("h2")),
    http2("only h2 offered", "tls-h2", tls("h2", "http/1.1")),
    case("only h2 offered, http/1.1 asked", "tls-h2", tls("http/1.1")),
    case("version 1.2", "tls", tls(versions=V12)),
    case("version 1.3", "tls", tls(versions=V13)),
    case("at most 1.2", "tls-1.2", tls()),
    case("at most 1.2, only 1.3 asked", "tls-1.2", tls(versions=V13)),
    case("at least 1.3", "tls-1.3", tls()),
    case("at least 1.3, only 1.2 asked", "tls-1.3", tls(versions=V12)),
    case("one cipher", "tls-cipher", tls()),
    case("no cipher in common", "tls-cipher", tls(versions=V12, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")),
    case("no server name", "tls", tls(server_name=None)),
    case("other server name", "tls", tls(server_name="other.example.com")),
    case("redirect under tls", "tls", tls(), "/to/host"),
    case("tls required and given", "tls", tls(), "/tea"),
    case("client certificate", "tls-client", tls(certificate="client")),
    case("client certificate 1.2", "tls-client", tls(certificate="client", versions=V12)),
    case("no client certificate", "tls-client", tls()),
    case("no client certificate 1.2", "tls-client", tls(versions=V12)),
    case("client certificate of a stranger", "tls-client", tls(certificate="stranger")),
    case("client certificate of a stranger 1.2", "tls-client", tls(certificate="stranger", versions=V12)),
    case("optional client certificate", "tls-optional", tls(certificate="client")),
    case("optional client certificate not sent", "tls-optional", tls()),
    case("optional client certificate of a stranger", "tls-optional", tls(certificate="stranger")),
    case("client certificate of the right name", "tls-san", tls(certificate="client")),
    case("client certificate of another name", "tls-other-san", tls(certificate="client")),
    case("chain by name", "tls-sni", tls(server_name="b.example.com")),
    case("chain by name in upper case", "tls-sni", tls(server_name="B.EXAMPLE.com")),
    case("chain by wildcard", "tls-sni", tls(server_name="x.wild.example.com")),
    case("chain by deep wildcard", "tls-sni", tls(server_name="x.y.wild.example.com")),
    case("wildcard needs a label", "tls-sni", tls(server_name="wild.example.com")),
    case("no chain", "tls-sni", tls(server_name="c.example.com")),
    case("no chain without a name", "tls-sni", tls(server_name=None)),
    http2("chain by name with h2", "tls-sni", tls("h2", server_name="b.example.com")),
    Case(TLS, "plain text to tls", (get("/u/a"),), "tls", bytes_counted=False),
    Case(TLS, "plain text to the inspector", (get("/u/a"),), "tls-sni", bytes_counted=False),
    Case(TLS, "nothing to tls", (ShutdownWrite(),), "tls", bytes_counted=False),
    Case(TLS, "half a hello to tls", (bytes.fromhex("1603010200010001fc0303") + b"\0" * 20, ShutdownWrite()), "tls",
        bytes_counted=False),
    Case(TLS, "garbage in a record", (bytes.fromhex("160301000501000001ff"),), "tls", show=shown, bytes_counted=False),
]  # fmt: skip
