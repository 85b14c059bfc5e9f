"""Routes and virtual hosts (routing_listeners.py): which route a request takes, and what is counted of it."""

from __future__ import annotations

from tests.integration.exchanges import get, message
from tests.integration.harness import Step, Wait
from tests.parity import frames as f
from tests.parity.case import Case, Tls, http2_case
from tests.parity.certificates import tls

ROUTES, TREES, HOSTS, COUNTS = "route matching", "matcher trees", "virtual hosts", "virtual clusters"


def _route(name: str, *steps: Step, on: str = "routing") -> Case:
    return Case(ROUTES, name, steps, on)


def _paths(name: str, *paths: str, host: str = "paths.com", on: str = "routing") -> Case:
    steps = [step for path in paths for step in (get(path, host=host), Wait(0.02))]
    return _route(f"{name}", *steps[:-1], on=on)


PATHS = {
    "template with a variable": ("/t/a", "/t/", "/t/a/", "/t/a%20b", "/t/a?q", "/t/a=b"),
    "template with two variables": ("/t/a/x/b", "/t/a/y/b", "/t/a/x/b/c"),
    "template with a glob": ("/g/a/end", "/g/a/b/end", "/g//end", "/g/end"),
    "template with a long glob": ("/gs/", "/gs/a", "/gs/a/b/c", "/gs", "/gs/a|b"),
    "template with a suffix": ("/s/a.m4s", "/s/a.b.m4s", "/s/.m4s", "/s/a/b.m4s", "/s/am4s"),
    "template with a long suffix": ("/ss/a/b.mpd", "/ss/.mpd", "/ss/a.mp"),
    "template with an inner pattern": ("/in/x/b/c/d", "/in/x/b/", "/in/x/c/d"),
    "template with literals around a variable": ("/m/pre-a-post/z", "/m/pre--post/z", "/m/pre-a-post", "/m/pre-a"),
    "template with special characters": ("/l/a.b+c$(d)", "/l/axb+c$(d)"),
    "template with a last slash": ("/slash/a/", "/slash/a", "/slash/a//"),
    "template with a star in a literal": ("/st/a*b", "/st/aXb"),
    "regex": ("/r/abc", "/r/abc?d", "/r/ab1", "/R/abc", "/r/abc/"),
    "regex does not ignore case": ("/q/abc", "/q/ABC", "/Q/abc"),
    "exact path": ("/exact", "/exact?a", "/exact/", "/EXACT", "/exac"),
    "exact path in any case": ("/exact/any", "/EXACT/ANY?x", "/exact/any/"),
    "prefix": ("/pre", "/prefix?a", "/PRE", "/pr"),
    "prefix in any case": ("/prefix/any/more", "/PREFIX/ANYmore", "/prefix/an"),
    "separated prefix": ("/sep/a", "/sep/a/", "/sep/ab", "/sep/a?b", "/sep/a/b", "/SEP/a"),
    "separated prefix in any case": ("/sep/b", "/SEP/B/c", "/sep/bc"),
    "question mark in a route's path": ("/que?stion", "/que%3Fstion"),
}
ALTERNATING = ("/a/1", "/a/2", "/a/x", "/b/1", "/b/2", "/b", "/bx", "/c/1", "/C/1", "/c", "/cc", "/")
PARAMETERS = (
    ("exact", ("/exact;a=b", "/exact;a/c", "/exact")), ("prefix", ("/pr;e", "/pre;x")),
    ("regex", ("/r/abc;1", "/r/;abc", "/r;1/abc;2")), ("template", ("/t/a;b", "/t/;b", "/t;a/b")),
    ("separated", ("/sep/a;b", "/sep/;a", "/sep/a/;x?y;z", "/sep;1/a;2/c")),
)  # fmt: skip
KINDS = (
    "exact", "exact-case", "prefix", "prefix-case", "suffix", "suffix-case", "contains", "contains-case", "regex",
    "empty", "old-exact", "old-empty", "old-prefix", "old-suffix", "old-contains", "old-regex", "range", "present",
    "absent", "bare",
)  # fmt: skip
WAYS = ("", "-not", "-missing", "-both")
NUMBERS = ("6", "-3", "7", "-4", "+1", "1.0", "0x1", "", "9" * 19, "1,2", "9" * 5000)


def _headers(kind: str, way: str) -> Case:
    fields: tuple[tuple[str, ...], ...] = (
        ("x-m: One",), ("x-m: oNe",), (), ("x-m:",), ("x-m: One", "x-m: One"), ("x-m: One", "x-m: two"),
        ("x-m: two", "x-m: One"), ("x-m: 5",),
    )  # fmt: skip
    steps = [step for each in fields for step in (get(f"/{kind}{way}", *each, host="headers.com"), Wait(0.02))]
    return _route(f"header {kind}{way}", *steps[:-1])


QUERIES = (
    "k=v%20w", "k=v+w", "k=v", "k=V", "k", "k=", "", "j=v&k=v", "k=x&k=v", "K=v", "%6b=v", "k=v;a=b", "a&k=v&b", "k==v",
)  # fmt: skip


NORMALISED = (
    "/u//a/..//b", "/u/a/.//../b", "/u/a%2f%2Fb", "/u/%5c%2e%2e/b", "/u/a/%2e%2e%2fb", "/u/a;x=1/../b", "/u//",
    "/u/..//..//b", "/u/a%3fb", "/u/a?b//c/../d%2f", "/u/a%252fb", "/u/a\\b", "/u/a/b/..%5c..", "//u/a", "/u/%2F",
)  # fmt: skip


def _query(kind: str) -> Case:
    steps = [step for each in QUERIES for step in (get(f"/{kind}?{each}", host="queries.com"), Wait(0.02))]
    return _route(f"query {kind}", *steps[:-1])


STATE = (
    "all", "none", "million", "key-on", "key-off", "key-odd", "key-unset", "metadata", "metadata-not",
    "metadata-present", "metadata-null", "metadata-absent", "filter-state", "presented",
    "not-presented", "validated", "not-validated", "neither", "open",
)  # fmt: skip


def _secure(name: str, how: Tls) -> Case:
    paths = ("presented", "not-presented", "validated", "not-validated", "neither", "open")
    steps: list[Step] = [Wait(0.1)]
    for path in paths:
        steps += [get(f"/{path}", host="a.example.com"), Wait(0.03)]
    return Case(ROUTES, f"tls {name}", tuple(steps[:-1]), "routing-tls", tls=how, bytes_counted=False)


GRPC = ("application/grpc", "application/grpc+proto", "application/grpcx", "application/grpc-web", "text/plain")

ROUTE_CASES = [
    *(_paths(name, *paths) for name, paths in PATHS.items()),
    *(_paths(f"kinds in turn: {path}", path, host="alternating.com") for path in ALTERNATING),
    _route("kinds in turn: a header decides", get("/c/2", "x-c: 1", host="alternating.com")),
    *(
        _route(f"normalised: {on} {path}", get(path), on=on)
        for on in ("normal", "merge", "slash-reject", "slash-redirect", "slash-forward") for path in NORMALISED
    ),
    *(_paths(f"path parameters: {name}", *paths, on="routing-parameters") for name, paths in PARAMETERS),
    *(_headers(kind, way) for kind in KINDS for way in WAYS),
    *(_route(f"range {each[:20]}", get("/range", f"x-m: {each}", host="headers.com")) for each in NUMBERS),
    *(_query(kind) for kind in ("exact", "raw", "prefix", "case", "empty", "present", "absent", "bare")),
    *(_route(f"two parameters: {each}", get(f"/both?{each}", host="queries.com")) for each in ("a&b=2", "a", "b=2")),
    *(_route(f"state: {each}", get(f"/{each}", host="state.com")) for each in STATE),
    *(_route(f"grpc: {each}", get("/grpc", f"content-type: {each}", host="state.com")) for each in GRPC),
    _secure("with a certificate", tls(certificate="client")),
    _secure("without a certificate", tls()),
    _route("connect", message("CONNECT connect.com", host="connect.com")),
    _route("connect with a port", message("CONNECT connect.com:443", host="connect.com:443")),
    _route("connect where only a prefix would fit", message("CONNECT pathless.com", host="pathless.com")),
    _route("connect to a cluster that takes no tunnels", message("CONNECT tunnel.com", host="tunnel.com")),
    _route("get where connect is wanted too", get("/", host="connect.com")),
    _route("get where only connect is wanted", get("/", host="tunnel.com")),
    http2_case(ROUTES, "http2 connect", f.ask(method="CONNECT", authority="connect.com"), on="routing"),
]  # fmt: skip


def _tree(name: str, tree: str, *fields: str, path: str = "/") -> Case:
    return Case(TREES, f"{tree}: {name}", (get(path, *fields, host=f"tree-{tree}.com"),), "routing")


ADDRESSES = (
    "10.2.3.4", "10.1.9.9", "10.1.2.3", "10.1.3.3", "fe80::1", "fe00::1", "192.0.2.1", "192.0.2.2", "1.2.3.4",
    "1.2.3.5", "10.1", "word", "010.1.1.1", "::ffff:10.1.1.1", "[fe80::1]", "10.1.9.9:80",
)  # fmt: skip
NAMES = (
    "a.com",
    "www.a.com",
    "x.a.com",
    "x.y.a.com",
    "x.b.a.com",
    "b.a.com",
    "com",
    "b.com",
    "A.com",
    "",
    "a.",
    ".a.com",
)

TREE_CASES = [
    _tree("both", "list", "a: 1", "b: 23"),
    _tree("one of both", "list", "a: 1", "h: 1"),
    _tree("either", "list", "b: x"),
    _tree("regex", "list", "c: rr"),
    _tree("regex does not fit", "list", "c: rs", "h: 1"),
    _tree("contains, any case", "list", "c: amidst"),
    _tree("two values", "list", "a: 1", "a: 1", "b: 2", "h: 1"),
    _tree("path", "list", "h: 1", path="/by-path?x"),
    _tree("nested", "list", "d: nested", "e: 1"),
    _tree("nested, nothing there", "list", "d: nested", "e: 2", "h: 1"),
    _tree("nested, goes on behind", "list", "d: nested", "e: 2", "g: list", path="/1"),
    _tree("address", "list", "ip: 10.1.2.3"),
    _tree("address of v6", "list", "ip: fe80::2"),
    _tree("no address", "list", "ip: ten", "h: 1"),
    _tree("metadata of a text", "list", "f: 1", "h: 1"),
    _tree("list of routes, first", "list", "g: list", path="/1"),
    _tree("list of routes, second", "list", "g: list", path="/2/3"),
    _tree("list of routes, none", "list", "g: list", "h: 1", path="/3"),
    _tree("route does not fit", "list", "g: not here", "h: 1"),
    _tree("not", "list", "h: 2"),
    _tree("not, header is missing", "list"),
    _tree("none", "list", "h: 1"),
    _tree("none, and nothing for it", "list-only", "h: 1"),
    _tree("one", "map", "a: one"),
    _tree("leads nowhere", "map", "a: two"),
    _tree("other", "map", "a: three"),
    _tree("empty", "map", "a:"),
    _tree("missing", "map"),
    _tree("joined", "map", "a: one", "a: one"),
    _tree("leads nowhere, and there is more", "map-open", "a: one"),
    _tree("missing", "map-open"),
    *(_tree(path, "prefix", path=path) for path in ("/", "/a", "/ab", "/a/b", "/a/bc", "/b?a")),
    _tree("on no match alone", "any"),
    _tree("nothing at all", "nothing"),
    _tree("filter state", "state"),
    *(_tree(each, "ip", f"ip: {each}") for each in ADDRESSES),
    _tree("missing", "ip"),
    *(_tree(each or "empty", "names", f"name: {each}") for each in NAMES),
    _tree("missing", "names"),
    _tree("a route to a cluster", "cluster", path="/u/a"),
    _tree("a route that does not fit", "cluster", path="/a"),
    _tree("an unknown cluster", "unknown"),
]  # fmt: skip


def _host(authority: str, *fields: str, on: str = "routing-domains", path: str = "/") -> Case:
    name = " ".join((authority, *fields, *(() if path == "/" else (path,))))
    return Case(HOSTS, f"{on.removeprefix('routing-')}: {name}", (get(path, *fields, host=authority),), on)


AUTHORITIES = (
    "a.com", "A.COM", "a.com:80", "a.com:81", "x.a.com", "x.b.a.com", "b.a.com", ".a.com", "x-a.com", "-a.com", "a.org",
    "a.b.org", "a.b.", "a.", "[::1]", "[::1]:80", "xc*", "d", "dx", "x:82", ":82", "a.upper.com", "a.com.", "dot.com.",
    "dot.com", "empty.com:", "empty.com", "word.com:word", "word.com", "x.a.com:80",
)  # fmt: skip
WITH_PORTS = (
    "a.com:80",
    "a.com:81",
    "a.com:",
    "a.com:word",
    "[::1]:80",
    "[::1]",
    "::1",
    "x.a.com:9",
    "a.com.:80",
    "a.com.",
)
WITH_PORTS += (
    "empty.com:",
    "word.com:word",
    "a.com:99999",
    "a.com:080",
    "a.com:+80",
    "dot.com.:80",
    "a.:80",
    ".",
    ".:80",
)

HOST_CASES = [
    *(_host(each) for each in AUTHORITIES),
    *(
        _host(each, on=f"routing-{on}")
        for on in ("ignore-port", "strip-any", "strip-matching", "strip-dot", "strip-both") for each in WITH_PORTS
    ),
    *(_host("a.com", f"x-host: {each}", on="routing-header")
      for each in ("a.org", "x.a.com", "A.COM", "none", "", "a.com:81")),
    _host("a.com", on="routing-header"),
    _host("a.com", "x-host: a.org", "x-host: d", on="routing-header"),
    _host("a.com", "x-host: a.com:90", on="routing-header-port"),
    _host("a.com", on="routing-header-all"),
    *(
        _host(host, *fields, on="routing", path="/a?b=c")
        for host in ("secure.com", "external.com")
        for fields in ((), ("x-forwarded-proto: https",), ("x-envoy-internal: true",), ("x-forwarded-proto: ftp",))
    ),
    *(_host("secure.com", f"x-scope: {scope}", f"x-parts: {parts}", on="routing-scopes")
      for scope in ("1", "2", "3", "4", "5", "") for parts in ("x,a", "x,b,c", "x,", "x", "")),
    _host("a", on="routing-scopes"),
    _host("a", "x-scope: 1", "x-scope: 2", "x-parts: x,a", on="routing-scopes"),
    *(_host("a", f"x-pairs: {each}", on="routing-elements") for each in (
        "a=1;b=a", "b=a;a=1", "a=1;b=a;a=2", "a=1", "a=1;b", "a=5;b", "a=5;b=", "a=1; b=a", "a==1;b=a", ";a=1;;b=a")),
]  # fmt: skip


def _count(name: str, *steps: Step, host: str = "counted.com") -> Case:
    return Case(COUNTS, f"{host.removesuffix('.com')}: {name}", steps, "routing")


def _counts(host: str) -> list[Case]:
    return [
        _count("one of two", get("/u/plain", host=host), host=host),
        _count("the first of two", message("POST /u/plain", "content-length: 0", host=host), host=host),
        _count("another", get("/u/a", host=host), host=host),
        _count("a retry that is used up", get("/u/reset", host=host), host=host),
        _count("a dead upstream", get("/dead", host=host), host=host),
        _count("too slow", get("/u/slow", host=host), host=host),
        _count("direct", get("/direct", host=host), host=host),
        _count("an error", get("/u/500", host=host), host=host),
        _count("interim response", get("/u/103", host=host), host=host),
        _count("no route", get("/nowhere", host=host), host=host),
    ]


COUNT_CASES = [*_counts("counted.com"), *_counts("uncounted.com")]

CASES = [*ROUTE_CASES, *TREE_CASES, *HOST_CASES, *COUNT_CASES]
