"""Upstream TLS that asks for the names of requests, and connections that agree on a protocol with their hosts."""

from __future__ import annotations

import ssl
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import trustme

from tests.integration.harness import Peer, catch_all, http_listener, static_cluster, to_cluster
from tests.parity import frames as f
from tests.parity.case import Case
from tests.parity.cases.pooling import http_options
from tests.parity.setup import FILE_LOG, Json, MakeUpstream, Places, Setup, bootstrap_of, says
from tests.parity.steps import Answers, CaseStep, Connect, in_order
from tests.parity.upstreams import Http2Peer, Http2Recorder, Recorder

AREA = "names for TLS"
UPSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
AUTHORITY = trustme.CA()
LOG = (
    "code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% cluster=%UPSTREAM_CLUSTER% protocol=%UPSTREAM_PROTOCOL% "
    "tls=%UPSTREAM_TLS_VERSION% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n"
)


def _context(*alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = AUTHORITY.issue_cert("a.test", "*.b.test", "127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "leaf.pem")
        leaf.private_key_and_cert_chain_pem.write_to_path(str(file))
        context.load_cert_chain(file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def plain2(peer: Http2Peer, stream: int) -> None:
    peer.send(f.headers([(":status", "200")], stream, end=True))


class Secured(Http2Recorder):
    """A host behind TLS, of HTTP/1 or, where that was agreed on, of HTTP/2: `seen` has each name that was asked for."""

    def __init__(self, *alpn: str) -> None:
        super().__init__({"/": plain2})
        self._answers = [("/", says("secured"))]
        self._context = _context(*alpn)
        self._context.sni_callback = self._note_name

    def _note_name(self, tls: Any, name: str | None, context: ssl.SSLContext) -> None:
        self.seen.append(f"asked for {name}")

    def _serve(self, peer: Peer) -> None:
        try:
            secured = self._context.wrap_socket(peer.socket, server_side=True)
        except OSError:
            peer.socket.close()
            return
        finally:
            self._sockets.discard(peer.socket)
        self._sockets.add(secured)
        how = super()._serve if secured.selected_alpn_protocol() == "h2" else partial(Recorder._serve, self)
        try:
            how(Peer(secured))
        finally:
            secured.close()


UPSTREAMS: dict[str, MakeUpstream] = {
    "secured": Secured,
    "both": partial(Secured, "h2", "http/1.1"),
    "first": partial(Secured, "http/1.1"),
}


def _tls(trusted: bool = True, **fields: Any) -> Json:
    common: Json = {}
    if trusted:
        common["validation_context"] = {"trusted_ca": {"inline_string": AUTHORITY.cert_pem.bytes().decode()}}
    typed = {"@type": UPSTREAM_TLS, "common_tls_context": common, **fields}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": typed}}


def _named(**options: Any) -> Json:
    return http_options(upstream_http_protocol_options=options)


def _clusters(places: Places) -> list[Json]:
    secured = places["secured"]
    both = {"auto_sni": True, "auto_san_validation": True}
    return [
        static_cluster("configured", secured, **_tls(sni="c.test")),
        static_cluster("sni", secured, **_tls(sni="c.test"), **_named(auto_sni=True)),
        static_cluster("san", secured, **_tls(), **_named(auto_san_validation=True)),
        static_cluster("both", secured, **_tls(), **_named(**both)),
        static_cluster("untrusted", secured, **_tls(trusted=False), **_named(**both)),
        static_cluster("by-header", secured, **_tls(), **_named(**both, override_auto_sni_header="x-name")),
        static_cluster("older", secured, **_tls(), upstream_http_protocol_options=both),
        static_cluster("no-tls", places["secured"], **_named(**both)),
        static_cluster("agrees-2", places["both"], **_tls(sni="a.test"), **http_options(auto_config={})),
        static_cluster("agrees-1", places["first"], **_tls(sni="a.test"), **http_options(auto_config={})),
        static_cluster("agrees-on-nothing", secured, **_tls(sni="a.test"), **http_options(auto_config={})),
        static_cluster(
            "agrees-named", places["both"], **_tls(),
            **http_options(auto_config={}, upstream_http_protocol_options=both),
        ),
    ]  # fmt: skip


def _configuration(places: Places) -> Json:
    clusters = _clusters(places)
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters]
    routes += [
        to_cluster("both", "/rewritten/", host_rewrite_literal="x.b.test"),
        to_cluster("both", "/rewritten-by-header/", host_rewrite_header="x-name"),
    ]
    log = {"@type": FILE_LOG, "path": str(places.log), "log_format": {"text_format_source": {"inline_string": LOG}}}
    listener = http_listener("main", catch_all(*routes), access_log=[{"name": "file", "typed_config": log}])
    return bootstrap_of([listener], clusters)


SETUP = Setup("names", _configuration, UPSTREAMS)


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP, bytes_counted=False)


def to(host: str, path: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"host: {host}", *more, "", ""]).encode()


CASES = [
    case("a configured name", to("a.test", "/configured/")),
    case("the request's name", to("a.test", "/sni/")),
    case("the request's name with a port", to("a.test:8443", "/sni/")),
    case("the request's address", to("127.0.0.1", "/sni/")),
    case("two names", to("a.test", "/sni/"), Answers(1), to("x.b.test", "/sni/"), Answers(2)),
    case(
        "one name over two connections", to("a.test", "/sni/"), Answers(1), Connect(), to("a.test", "/sni/"), Answers(1)
    ),
    case("a certificate with the name", to("a.test", "/san/")),
    case("a certificate with the name by a wildcard", to("x.b.test", "/san/")),
    case("a certificate with the address", to("127.0.0.1", "/san/")),
    case("a certificate without the name", to("other.test", "/san/")),
    case("both", to("a.test", "/both/")),
    case("both, another name", to("other.test", "/both/")),
    case("both, one connection for one name", *in_order(to("a.test", "/both/"), 3)),
    case("nobody is trusted, but the name is there", to("a.test", "/untrusted/")),
    case("nobody is trusted, and the name is not there", to("other.test", "/untrusted/")),
    case("a name from another header", to("other.test", "/by-header/", "x-name: a.test")),
    case("a name from another header that is not there", to("a.test", "/by-header/")),
    case("a name from another header that is empty", to("a.test", "/by-header/", "x-name:")),
    case("the older field", to("a.test", "/older/")),
    case("a host that the route rewrites", to("a.test", "/rewritten/")),
    case("a host that the route rewrites by a header", to("a.test", "/rewritten-by-header/", "x-name: x.b.test")),
    case("HTTP/2 by ALPN", to("a.test", "/agrees-2/")),
    case("HTTP/1 by ALPN", to("a.test", "/agrees-1/")),
    case("no ALPN", to("a.test", "/agrees-on-nothing/")),
    case("HTTP/2 by ALPN, and names", to("a.test", "/agrees-named/"), Answers(1), to("x.b.test", "/agrees-named/")),
]
