"""HTTP filters: CORS and the buffer filter (filter_listeners.py)."""

from __future__ import annotations

from tests.integration.exchanges import get, message
from tests.integration.harness import Step, Wait
from tests.parity import frames as f
from tests.parity.case import Case, http2_case

CORS, BUFFER = "HTTP filters: CORS", "HTTP filters: buffer"

GOOD, BAD = "origin: http://good.com", "origin: http://bad.com"
ASKS = ("access-control-request-method: PUT", "access-control-request-headers: x-a, x-b")
PRIVATE = "access-control-request-private-network: true"


def _cors(name: str, *steps: Step, on: str = "cors") -> Case:
    return Case(CORS, name, steps, on)


def _preflight(path: str, *fields: str, host: str = "a.com") -> bytes:
    return message(f"OPTIONS {path}", *fields, host=host)


POLICIES = (
    "full", "bare", "none", "any", "prefixed", "refusing", "forwarding", "off", "shadow", "both", "runtime-off",
    "runtime-on", "runtime-none", "runtime-odd", "runtime-unset", "disabled", "wrapped",
)  # fmt: skip
ORIGINS = (
    "http://pre.one", "https://pre.one", "http://at.end", "http://a-mid-b", "http://any.case", "http://abc.re",
    "http://abc.rex", "http://ABC.re", "null",
)  # fmt: skip

CORS_CASES = [
    *(_cors(f"{each}: allowed origin", get(f"/u/c/{each}/", GOOD)) for each in POLICIES),
    *(_cors(f"{each}: preflight", _preflight(f"/u/c/{each}/", GOOD, *ASKS, PRIVATE)) for each in POLICIES),
    *(_cors(f"{each}: other origin", get(f"/u/c/{each}/", BAD)) for each in POLICIES),
    *(_cors(f"{each}: preflight, other origin", _preflight(f"/u/c/{each}/", BAD, *ASKS)) for each in POLICIES),
    *(_cors(f"matchers: {each}", get("/u/c/matchers/", f"origin: {each}")) for each in ORIGINS),
    _cors("no origin", get("/u/c/full/")),
    _cors("empty origin", get("/u/c/full/", "origin: ")),
    _cors("two origins", get("/u/c/full/", GOOD, BAD)),
    _cors("options without asking", _preflight("/u/c/full/", GOOD)),
    _cors("asking for nothing", _preflight("/u/c/full/", GOOD, "access-control-request-method: ")),
    _cors("preflight with a body", message("OPTIONS /u/c/full/", GOOD, *ASKS, "content-length: 3", body=b"abc")),
    _cors("preflight, then a request", _preflight("/u/c/full/", GOOD, *ASKS), Wait(0.1), get("/u/c/full/", GOOD)),
    _cors("private network not asked for", _preflight("/u/c/full/", GOOD, *ASKS)),
    _cors("private network: false", _preflight("/u/c/full/", GOOD, *ASKS, PRIVATE.replace("true", "false"))),
    _cors("headers not asked for", _preflight("/u/c/any/", GOOD, ASKS[0])),
    _cors("direct response", get("/direct", GOOD)),
    _cors("direct response, preflight", _preflight("/direct", GOOD, *ASKS)),
    _cors("redirect", get("/there", GOOD)),
    _cors("dead upstream", get("/dead/c/", GOOD)),
    _cors("no route", get("/nowhere", GOOD)),
    _cors("no policy", get("/u/a", GOOD)),
    _cors("head", message("HEAD /u/c/full/", GOOD)),
    _cors("answer of http2", get("/2/c/", GOOD)),
    *(
        _cors(f"levels: {path} {origin}{' preflight' if asks else ''}", message(
            f"{'OPTIONS' if asks else 'GET'} /u/{path}", f"origin: http://{origin}", *asks, host="layered.com"))
        for path in ("a", "own/", "off/", "never/") for origin in ("host.com", "good.com") for asks in ((), ASKS)
    ),
    *(
        _cors(f"deprecated: {path} {origin}{' preflight' if asks else ''}", message(
            f"{'OPTIONS' if asks else 'GET'} /u/{path}", f"origin: http://{origin}", *asks), on="cors-table")
        for path in ("a", "own/", "hidden/", "never/") for origin in ("old.com", "own.com") for asks in ((), ASKS)
    ),
    *(
        http2_case(CORS, f"http2: {method}", f.ask(
            ("origin", "http://good.com"), ("access-control-request-method", "PUT"), method=method,
            path="/u/c/full/"), on="cors")
        for method in ("GET", "OPTIONS")
    ),
]  # fmt: skip


def _buffer(name: str, *steps: Step, on: str = "buffer") -> Case:
    return Case(BUFFER, name, steps, on)


def _post(path: str, body: bytes, *fields: str, host: str = "a.com") -> bytes:
    return message(f"POST {path}", f"content-length: {len(body)}", *fields, body=body, host=host)


def _chunked(path: str, *chunks: bytes, trailers: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"
    return message(f"POST {path}", "transfer-encoding: chunked", body=body)


def _in_pieces(path: str, *pieces: bytes) -> tuple[Step, ...]:
    head = message(f"POST {path}", f"content-length: {sum(map(len, pieces))}")
    return (head, *(step for piece in pieces for step in (Wait(0.05), piece)))


def _chunks_apart(path: str, *chunks: bytes) -> tuple[Step, ...]:
    whole = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    steps = (step for chunk in [*whole, b"0\r\n\r\n"] for step in (Wait(0.05), chunk))
    return (message(f"POST {path}", "transfer-encoding: chunked"), *steps)


def _h2(name: str, *after: bytes | Step, path: str = "/u/a", on: str = "buffer", length: str = "") -> Case:
    more = [("content-length", length)] if length else []
    head = f.hello(f.headers([*f.request("POST", path), *more], end=False))
    return http2_case(BUFFER, f"http2: {name}", head, *(step for each in after for step in (Wait(0.05), each)), on=on)


LARGE = b"x" * 60_000
BUFFER_CASES = [
    *(_buffer(f"{size} bytes", _post("/u/a", b"x" * size)) for size in (0, 1, 9, 10, 11, 12, 4000)),
    *(_buffer(f"{size} bytes for the route", _post("/u/small/", b"x" * size)) for size in (5, 6)),
    *(_buffer(f"{size} bytes for the host", _post("/u/a", b"x" * size, host="host.com")) for size in (20, 21)),
    _buffer("6 bytes for the route on the host", _post("/u/small/", b"x" * 6, host="host.com")),
    _buffer("get", get("/u/a")),
    _buffer("head", message("HEAD /u/a")),
    _buffer("in pieces", *_in_pieces("/u/a", b"abc", b"de", b"f")),
    _buffer("in pieces, too many", *_in_pieces("/u/a", b"abcdef", b"ghijkl", b"m")),
    _buffer("in pieces, too large at the end", *_in_pieces("/u/a", b"abcdef", b"ghijkl")),
    _buffer("chunked", _chunked("/u/a", b"abc", b"de")),
    _buffer("chunked, apart", *_chunks_apart("/u/a", b"abc", b"de")),
    _buffer("chunked, one", _chunked("/u/a", b"abc")),
    _buffer("chunked, empty", _chunked("/u/a")),
    _buffer("chunked, too large", _chunked("/u/a", b"abcdef", b"ghijkl")),
    _buffer("chunked, too large, apart", *_chunks_apart("/u/a", b"abcdef", b"ghijkl")),
    _buffer("chunked with trailers", _chunked("/u/a", b"abc", trailers=b"x-t: 1\r\n"), on="buffer-trailers"),
    _buffer("trailers alone", _chunked("/u/a", trailers=b"x-t: 1\r\n"), on="buffer-trailers"),
    _buffer("trailers to http2", _chunked("/2/a", b"abc", trailers=b"x-t: 1\r\n"), on="buffer-trailers"),
    _buffer("trailers that are not passed on", _chunked("/u/a", b"abc", trailers=b"x-t: 1\r\n")),
    _buffer("large", _post("/u/large/", LARGE)),
    _buffer("large, chunked", _chunked("/u/large/", LARGE[:30_000], LARGE[30_000:])),
    _buffer("too large for the larger", _post("/u/large/", LARGE + LARGE)),
    _buffer("to http2", _post("/2/a", b"abc")),
    _buffer("chunked to http2", _chunked("/2/a", b"abc", b"de")),
    _buffer("too large to http2", _post("/2/small/", b"x" * 6)),
    _buffer("passing", _post("/u/passing/", b"x" * 20)),
    _buffer("passing, chunked", _chunked("/u/passing/", b"x" * 20)),
    _buffer("disabled", _post("/u/off/", b"x" * 20)),
    _buffer("disabled, chunked", _chunked("/u/off/", b"x" * 20)),
    _buffer("enabled all the same", _post("/u/on/", b"x" * 11)),
    _buffer("settings of another filter", _post("/u/other/", b"x" * 11)),
    _buffer("disabled in the list", _post("/u/a", b"x" * 11), on="buffer-disabled"),
    _buffer("disabled in the list, chunked", _chunked("/u/a", b"x" * 11), on="buffer-disabled"),
    _buffer("enabled by the route", _post("/u/on/", b"x" * 11), on="buffer-disabled"),
    _buffer("enabled by settings of the route", _post("/u/small/", b"x" * 6), on="buffer-disabled"),
    _buffer("enabled by settings of the host", _post("/u/a", b"x" * 21, host="host.com"), on="buffer-disabled"),
    _buffer("disabled twice", _post("/u/off/", b"x" * 11), on="buffer-disabled"),
    _buffer("expect", message("POST /u/a", "content-length: 3", "expect: 100-continue"), Wait(0.1), b"abc"),
    _buffer("direct response", _post("/direct", b"abc")),
    _buffer("direct response, too large", _post("/direct", b"x" * 11)),
    _buffer("dead upstream", _post("/dead/", b"abc")),
    _buffer("no route", _post("/nowhere", b"abc")),
    _buffer("no route, too large", _post("/nowhere", b"x" * 11)),
    _buffer("two requests", _post("/u/a", b"abc"), Wait(0.1), _post("/u/a", b"defg")),
    _buffer("pipelined", _post("/u/a", b"abc") + _chunked("/u/a", b"de")),
    _buffer("too large behind cors", _post("/u/a", b"x" * 11, GOOD), on="both"),
    _buffer("slow, then gone", *_in_pieces("/u/a", b"abc")[:-1]),
    _h2("whole", f.data(b"abc")),
    _h2("in pieces", f.data(b"abc", end=False), f.data(b"de")),
    _h2("empty", f.data(b"")),
    _h2("empty at the end", f.data(b"abc", end=False), f.data(b"")),
    _h2("too large in one", f.data(b"x" * 11)),
    _h2("too large", f.data(b"x" * 6, end=False), f.data(b"x" * 5, end=False)),
    _h2("too large at the end", f.data(b"x" * 6, end=False), f.data(b"x" * 5)),
    _h2("trailers", f.data(b"abc", end=False), f.headers([("x-t", "1")])),
    _h2("trailers alone", f.headers([("x-t", "1")])),
    _h2("trailers to http2", f.data(b"abc", end=False), f.headers([("x-t", "1")]), path="/2/a"),
    _h2("with a length", f.data(b"abc"), length="3"),
    _h2("to http2", f.data(b"abc"), path="/2/a"),
    _h2("passing", f.data(b"x" * 20), path="/u/passing/"),
    _h2("reset", f.data(b"abc", end=False), f.rst(8)),
]

CASES = [*CORS_CASES, *BUFFER_CASES]
