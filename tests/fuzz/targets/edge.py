"""What the edge does with bytes of strangers besides HTTP's framing: ClientHello, paths, routes."""

from __future__ import annotations

import ssl
from typing import Any

from google.protobuf import json_format
from hypothesis import strategies as st

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.filters.network.http_connection_manager import path as paths
from envoymesh.http.headers import RequestHeaders
from envoymesh.network.listener.client_hello import MAX_CLIENT_HELLO, ClientHelloReader
from envoymesh.router.config import RouteFactoryContext, read_route_table
from envoymesh.router.table import RedirectAction, RouteTable
from tests.fuzz.target import Target, mutated, same_however_cut
from tests.support.fakes import FakeRuntime

# ClientHello


def real_hello(server_name: str | None, protocols: list[str], tls12: bool) -> bytes:
    """OpenSSL's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


HELLOS = [real_hello("A.test", ["h2", "http/1.1"], False), real_hello(None, [], True), real_hello("b", [], True)]


@st.composite
def hellos(draw: Any) -> bytes:
    """A ClientHello in records of some size, with or without what a client sends right behind it."""
    body = draw(st.sampled_from(HELLOS))[5:]
    size = draw(st.sampled_from([len(body), 200, 50, 4]))
    out = b""
    for start in range(0, len(body), size):
        part = body[start : start + size]
        out += b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
    return out + draw(st.sampled_from([b"", b"", b"\x14\x03\x03\x00\x01\x01", b"\x17\x03\x03\x00\x04data", b"\x00"]))


def check_client_hello(data: bytes) -> None:
    """What the first bytes are."""

    def run(pieces: list[bytes]) -> Any:
        reader = ClientHelloReader()
        return next((found for piece in pieces if (found := reader.feed(piece)) is not None), None)

    found = same_however_cut(data, run)
    assert found is not None or len(data) < MAX_CLIENT_HELLO


# Paths

SEGMENTS = st.sampled_from(
    b"/ // . .. a %2e %2E%2e %2f %5C \\ %00 %25 %41 % %4 %zz ? # ; %%32e %252e \x00 \x7f \xff \xc3\xa9 .. ... *".split(
        b" "
    )
)


def check_path(data: bytes) -> None:
    """All path operations, which never touch the query."""
    path = b"/" + data
    bare, query = paths.split_query(path)
    assert bare + query == path
    found = paths.normalize(path)
    if found is None:
        assert b"\x00" in bare or b"%00" in bare
    else:
        normal, found_query = paths.split_query(found)
        assert found_query == query
        assert normal[:1] == b"/"
        assert not {b".", b".."} & set(normal.split(b"/")), "a dot segment is left"
        assert normal.isascii()
        assert b"\\" not in normal
        assert len(normal) <= 3 * len(bare)
        assert paths.normalize(found) == found
        if not paths.has_escaped_slashes(path):
            assert not paths.has_escaped_slashes(found), "an escaped slash appeared"
    merged = paths.merge_slashes(path)
    assert paths.merge_slashes(merged) == merged
    assert b"//" not in paths.split_query(merged)[0]
    assert paths.split_query(paths.unescape_slashes(path))[1] == query


# Routes

_ROUTES: list[dict[str, Any]] = [
    {"match": {"path": "/exact"}, "direct_response": {"status": 200}},
    {"match": {"path": "/Any", "case_sensitive": False}, "redirect": {"https_redirect": True, "strip_query": True}},
    {
        "match": {"prefix": "/a/", "headers": [{"name": "x-h", "string_match": {"contains": "1"}}]},
        "redirect": {"response_code": "FOUND"},
    },
    {"match": {"path_separated_prefix": "/sep"}, "redirect": {"host_redirect": "b", "port_redirect": 81}},
    {"match": {"safe_regex": {"regex": "/r[0-9]+(/.*)?"}}, "redirect": {"path_redirect": "/p?q"}},
    {"match": {"safe_regex": {"regex": "(?i)/caf\u00e9.*"}}, "direct_response": {"status": 201}},
    {
        "match": {"prefix": "/q", "query_parameters": [{"name": "k", "string_match": {"prefix": "v"}}]},
        "direct_response": {"status": 202},
    },
    {"match": {"prefix": "/"}, "redirect": {"scheme_redirect": "ws", "prefix_rewrite": "/new/"}},
]


def _table() -> RouteTable:
    hosts = [
        {"name": "one", "domains": ["a.test", "[::1]"], "routes": _ROUTES},
        {"name": "suffix", "domains": ["*.test", "x.*"], "routes": _ROUTES[:2], "require_tls": "ALL"},
        {"name": "rest", "domains": ["*"], "routes": _ROUTES[2:]},
    ]
    settings = {"name": "r", "virtual_hosts": hosts, "ignore_port_in_host_matching": True}
    message = json_format.ParseDict(settings, message_class("envoy.config.route.v3.RouteConfiguration")())
    return read_route_table(Reader(message, "", None), RouteFactoryContext(lambda *_: None, FakeRuntime(), lambda: 0.5))


TABLE = _table()
ROUTE_PARTS = st.sampled_from(
    b"/exact /ANY /a/ /a/b /sep /sep/ /separate /r12 /r1/x /r /caf\xc3\xa9 /CAF\xe9 /q?k=v /q?k=%76&k /q?=&&k #f ? / *"
    b" %".split()
)


@st.composite
def routed(draw: Any) -> bytes:
    """Authority, path and a header's value, a line each."""
    host = draw(
        st.sampled_from([b"a.test", b"A.TEST:80", b"[::1]:1", b"b.test", b"x.y", b"", b"::1", b"a:", b":80", b"."])
    )
    path = b"".join(draw(st.lists(ROUTE_PARTS, min_size=1, max_size=3)))
    return host + b"\n" + path + b"\n" + draw(st.sampled_from([b"1", b"", b"x1x"]))


def check_route(data: bytes) -> None:
    """A request takes the first route that fits it, however that is found; a redirect is a URI of one line."""
    authority, path, value = [*data.split(b"\n"), b"", b""][:3]
    headers = RequestHeaders(b"GET", path, authority, b"http", [(b"x-h", value)])
    host = TABLE.virtual_host(authority)
    assert host is not None, "there is a virtual host for all domains"
    found = TABLE.route(headers)
    bare = path.partition(b"?")[0].partition(b"#")[0]
    if host.tls_redirect is not None:
        assert found is host.tls_redirect
    else:
        assert found is next((route for route in host.routes if route.matches(headers, bare)), None)
    if found is not None and isinstance(found.action, RedirectAction):
        location = found.action.location(headers)
        assert location.startswith((b"http://", b"https://", b"ws://"))


TARGETS_HERE = [
    Target("client-hello", check_client_hello, mutated(hellos(), [b"\x16\x03\x01", b"\x00\x00", b"\xff\xff"]), 700),
    Target("path", check_path, st.lists(SEGMENTS, max_size=12).map(b"".join), 128),
    Target("route", check_route, mutated(routed(), [b"\n", b"?", b"#", b"%", b"&", b"=", b":", b"\xff"]), 96),
]
