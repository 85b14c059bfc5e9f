"""What routes do: rewrites, weighted clusters, redirects, answers, timeouts, retries (action_listeners.py)."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import message
from tests.parity.case import Case, http2_case
from tests.parity.frames import ask_with, request

GRPC = "content-type: application/grpc"


def _of(area: str, host: str, listener: str = "actions") -> Any:
    def case(name: str, target: str, *fields: str, on: str = listener, quiet: float = 0.0, **options: Any) -> Case:
        method, _, path = target.rpartition(" ")
        step = message(f"{method or 'GET'} {path}", *fields, **{"host": host, **options})
        return Case(area, name, (step,), on, quiet)

    return case


_path = _of("path rewrites", "paths.com")
PATHS = [
    _path("prefix", "/prefix/a/b?c=d"),
    _path("prefix alone", "/prefix/"),
    _path("prefix to longer", "/whole/a"),
    _path("prefix within a name", "/wholesale"),
    _path("prefix in another case", "/Case/Rest?x"),
    _path("exact path", "/exact?q=1"),
    _path("separated prefix", "/sep/x"),
    _path("separated prefix alone", "/sep"),
    _path("regex match replaced whole", "/r12/some/thing?q"),
    _path("regex groups", "/groups/one/two/three?q=/groups/1/2"),
    _path("regex groups not there", "/groups/one"),
    _path("empty matches", "/every/baac"),
    _path("every letter", "/letters/abcd"),
    _path("unknown group", "/unknown-group/abab"),
    _path("bad escape", "/bad-escape/abab"),
    _path("nothing left", "/emptied/x?q"),
    _path("format", "/format/x?q=1", "x-part: given"),
    _path("format, nothing given", "/format/x?q=1"),
    _path("format of a header", "/format-only/x", "x-part: /given"),
    _path("format of no header", "/format-only/x"),
    _path("format without a slash", "/format-only/x", "x-part: given"),
    _path("fixed format", "/format-fixed/x?q=1"),
    _path("format with a blank", "/format/x", "x-part: a b"),
    _path("format with a latin letter", "/format/x", "x-part: \xe9"),
    _path("original path given", "/prefix/a", "x-envoy-original-path: /given"),
    _path("http2 upstream", "/http2/a?q"),
    _path("retried", "/retried/x"),
    _path("dead upstream", "/gone/x"),
    _path("quiet", "/prefix/a/b", on="actions-quiet"),
    _path("post", "POST /prefix/a", "content-length: 3", body=b"abc"),
    http2_case(
        "path rewrites", "http2 client", ask_with(request("GET", "/prefix/a?q", authority="paths.com")), on="actions"
    ),
]

_host = _of("host rewrites", "hosts.com")
HOSTS = [
    _host("literal", "/literal"),
    _host("literal, appended", "/literal-appended"),
    _host("appended to one", "/literal-appended", "x-forwarded-host: one.com"),
    _host("appended to the same", "/literal-appended", "x-forwarded-host: one.com,hosts.com"),
    _host("appended to several fields", "/literal-appended", "x-forwarded-host: a", "x-forwarded-host: b"),
    _host("header", "/header", "x-wanted: wanted.org"),
    _host("header given twice", "/header", "x-wanted: one.org", "x-wanted: two.org"),
    _host("no header", "/header"),
    _host("empty header", "/header", "x-wanted:"),
    _host("header, appended", "/header-appended", "x-wanted: wanted.org"),
    _host("no header, appended", "/header-appended"),
    _host("auto", "/auto"),
    _host("auto, appended", "/auto-appended"),
    _host("auto without a name", "/auto-unnamed"),
    _host("regex", "/regex/name/x?q=/"),
    _host("regex leaves nothing", "/both/"),
    _host("regex, then the path", "/both/some"),
    _host("format", "/format", "x-wanted: wanted"),
    _host("format, nothing given", "/format"),
    _host("format of a header", "/format-only", "x-wanted: wanted.org"),
    _host("format with a blank", "/format", "x-wanted: a b"),
    _host("header with a slash", "/header", "x-wanted: a/b"),
    _host("format of no header", "/format-only"),
    _host("not rewritten", "/unrewritten"),
    _host("original host given", "/literal", "x-envoy-original-host: given.com"),
    _host("http2 upstream", "/http2"),
    _host("quiet", "/literal-appended", on="actions-quiet"),
    _host("quiet, auto", "/auto", on="actions-quiet"),
]

_weight = _of("weighted clusters", "weights.com")
WEIGHTS = [
    *(_weight(f"number {number}", "/header/x", f"x-number: {number}") for number in ("0", "1", "2", "3", "+4")),
    _weight("number with blanks", "/header/x", "x-number:   5  "),
    _weight("large number", "/header/x", "x-number: 18446744073709551615"),
    _weight("headers of an entry", "/one/x", "x-old: 1", "x-both: given"),
    _weight("host of an entry and of the route", "/one-rewritten/x"),
    _weight("weight of 0", "/only-zero/x"),
    _weight("entry by header", "/named/x", "x-cluster: up"),
    _weight("entry by header to http2", "/named/x", "x-cluster: http2"),
    _weight("entry by unknown header", "/named/x", "x-cluster: nobody"),
    _weight("entry by no header", "/named/x"),
    _weight("entry by no header, 404", "/named-404/x"),
    _weight("weights by runtime", "/runtime/x"),
    _weight("by header", "/by-header/x", "x-cluster: up"),
    _weight("by header given twice", "/by-header/x", "x-cluster: up", "x-cluster: dead"),
    _weight("by header to a dead one", "/by-header/x", "x-cluster: dead"),
    _weight("by unknown header", "/by-header/x", "x-cluster: nobody"),
    _weight("by empty header", "/by-header/x", "x-cluster:"),
    _weight("by no header", "/by-header/x"),
    _weight("by no header, 404", "/by-header-404/x"),
    _weight("by authority", "/by-authority/x"),
]

_hashed = _of("hash policies", "weights.com")
KEYS = ("a", "some-longer-key", "12345", "0123456789abcdef0123456789abcdef0123456789")
HASHES = [
    *(_hashed(f"header {key}", "/header/x".replace("header", "header-rewritten"), f"x-key: {key}") for key in KEYS),
    _hashed("header's values in any order", "/header-rewritten/x", "x-key: b", "x-key: a"),
    _hashed("header's values in the other order", "/header-rewritten/x", "x-key: a", "x-key: b"),
    *(_hashed(f"cookie {key}", "/cookie/x", f"cookie: other=1; key={key}; more=2") for key in KEYS),
    _hashed("quoted cookie", "/cookie/x", 'cookie: key="a"'),
    _hashed("second cookie field", "/cookie/x", "cookie: one=1", "cookie: key=a"),
    *(_hashed(f"parameter {key}", f"/parameter/x?a=b&key={key}") for key in KEYS),
    _hashed("empty parameter", "/parameter/x?key="),
    _hashed("address", "/address/x"),
    _hashed("address forwarded for", "/address/x", "x-forwarded-for: 9.8.7.6"),
    _hashed("several", "/several/x?key=b", "x-key: a"),
    _hashed("several, one missing", "/several/x?key=b"),
    _hashed("several, the same twice", "/several/x?key=a", "x-key: a"),
    _hashed("terminal", "/terminal/x?key=b", "x-key: a"),
    _hashed("terminal missing", "/terminal/x?key=b"),
]

_to = _of("redirects by routes", "redirects.com")
REDIRECTS = [
    _to("https", "/https/a?b"),
    _to("https, default port", "/https/a", host="redirects.com:80"),
    _to("https, port of https", "/https/a", host="redirects.com:443"),
    _to("https, other port", "/https/a", host="redirects.com:8080"),
    _to("https, ipv6", "/https/a", host="[::1]:80"),
    _to("https of https", "/https/a", "x-forwarded-proto: https", host="redirects.com:443"),
    _to("scheme", "/scheme/a"),
    _to("port", "/port/a", host="redirects.com:80"),
    _to("host and port", "/host-port/a?b"),
    _to("path", "/path/a?b=c"),
    _to("path with query", "/path-query/a?b=c"),
    _to("path without slash", "/path-bare/a"),
    _to("prefix", "/prefix/a?b=c"),
    _to("prefix without slash", "/prefix-bare/a"),
    _to("empty prefix", "/prefix-empty/a?b"),
    _to("prefix, stripped", "/prefix-strip/a?b"),
    _to("regex", "/regex/abc/d?e=/regex/f/"),
    _to("regex leaves no slash", "/regex-bare/a"),
    _to("regex, stripped", "/regex-strip/1/2?3"),
    _to("regex without a match", "/regex-none/a?b"),
    _to("308", "/308/a"),
    _to("exact path", "/exact?a"),
    _to("quiet", "/prefix/a", on="actions-quiet"),
    _to("post", "POST /prefix/a", "content-length: 3", body=b"abc"),
]

_answer = _of("answers of routes", "answers.com")
ANSWERS = [
    _answer("201 has a location", "/201?a=b"),
    _answer("301 has a location", "/301"),
    _answer("304", "/304"),
    _answer("599", "/599"),
    _answer("text format", "/text", "x-a: given"),
    _answer("text format, nothing given", "/text"),
    _answer("json format", "/json", "x-a: given"),
    _answer("json format, head", "HEAD /json"),
    _answer("content type", "/typed"),
    _answer("omitted", "/omitted"),
    _answer("format of nothing", "/nothing"),
    _answer("format for grpc", "/text", GRPC),
    _answer("non-forwarding action", "/nowhere"),
    _answer("filter action", "/filter"),
]

_follow = _of("internal redirects", "follow.com")
TARGET = "x-to: http://follow.com/u/target?q=1"
FOLLOWED = [
    _follow("once", "/follow/once", TARGET),
    _follow("fragment", "/follow/once", "x-to: http://follow.com/u/target#part"),
    _follow("other port", "/follow/once", "x-to: http://follow.com:81/u/x"),
    _follow("upper case scheme", "/follow/once", "x-to: HTTP://follow.com/u/x"),
    _follow("no path", "/follow/once", "x-to: http://follow.com"),
    _follow("query without path", "/follow/once", "x-to: http://follow.com?a=b"),
    _follow("blank in the path", "/follow/once", "x-to: http://follow.com/u/a b"),
    _follow("latin letter in the path", "/follow/once", "x-to: http://follow.com/u/\xe9"),
    _follow("user in the host", "/follow/once", "x-to: http://user@follow.com/u/x"),
    _follow("port without a number", "/follow/once", "x-to: http://follow.com:http/u/x"),
    _follow("default port", "/follow/once", "x-to: http://follow.com:80/u/x"),
    _follow("large port", "/follow/once", "x-to: http://follow.com:65536/u/x"),
    _follow("blank in the host", "/follow/once", "x-to: http://follow .com/u/x"),
    _follow("no location", "/follow/once"),
    _follow("empty location", "/follow/once", "x-to:"),
    _follow("relative", "/follow/once", "x-to: /u/target"),
    _follow("not a url", "/follow/once", "x-to: ://x"),
    _follow("other scheme", "/follow/once", "x-to: https://follow.com/u/x"),
    _follow("ftp", "/follow/once", "x-to: ftp://follow.com/u/x"),
    _follow("other scheme allowed", "/follow/cross", "x-to: https://follow.com/u/x"),
    _follow("other scheme and safe", "/follow/safe", "x-to: https://follow.com/u/x"),
    _follow("from https, safe", "/follow/safe", TARGET, "x-forwarded-proto: https"),
    _follow("no redirects", "/follow/none", TARGET),
    _follow("too many", "/follow/once", "x-to: http://follow.com/follow/once"),
    _follow("three and no more", "/follow/thrice", "x-to: http://follow.com/follow/thrice"),
    _follow("no virtual host", "/follow/once", "x-to: http://nobody.example/u/x"),
    _follow("no route", "/follow/once", "x-to: http://follow.com/nowhere"),
    _follow("code not followed", "/follow/codes", TARGET),
    _follow("301", "/follow/codes", TARGET, "x-status: 301"),
    _follow("299 is no redirect", "/follow/codes", TARGET, "x-status: 299"),
    _follow("303 of a post", "POST /follow/codes", TARGET, "x-status: 303", "content-length: 3", body=b"abc"),
    _follow("307 of a post", "POST /follow/codes", TARGET, "x-status: 307", "content-length: 3", body=b"abc"),
    _follow("303 of a head", "HEAD /follow/codes", TARGET, "x-status: 303"),
    _follow("chunked post", "POST /follow/once", TARGET, "transfer-encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    _follow("body over the limit", "POST /follow/once", TARGET, "content-length: 3000", body=b"x" * 3000,
            on="actions-small"),
    _follow("body over the limit, with retries", "POST /follow/retried", TARGET, "content-length: 3000",
            body=b"x" * 3000, on="actions-small"),
    _follow("body within the limit", "POST /follow/once", TARGET, "content-length: 1000", body=b"x" * 1000,
            on="actions-small"),
    _follow("headers copied", "/follow/copy", TARGET, "x-absent: here", "x-copied: of request"),
    _follow("previous routes", "/follow/previous", "x-to: http://follow.com/follow/previous"),
    _follow("allowed route", "/follow/allowed", TARGET),
    _follow("route that is not allowed", "/follow/allowed", "x-to: http://follow.com/here"),
    _follow("deprecated fields", "/follow/old", "x-to: http://follow.com/follow/old"),
    _follow("rewritten", "/follow/rewritten", TARGET),
    _follow("with retries", "/follow/retried", TARGET),
    _follow("no policy", "/follow/not", TARGET),
    _follow("to a direct response", "/follow/once", "x-to: http://follow.com/here"),
    _follow("to a dead upstream", "/follow/once", "x-to: http://follow.com/dead"),
    _follow("to http2", "/follow/once", "x-to: http://follow.com/2/x"),
    _follow("quiet", "/follow/once", TARGET, on="actions-quiet"),
    _follow("original url given", "/follow/once", TARGET, "x-envoy-original-url: http://given.com/"),
    http2_case(
        "internal redirects",
        "http2 client",
        ask_with(request("GET", "/follow/once", ("x-to", "http://follow.com/u/x"), authority="follow.com")),
        on="actions",
    ),
]  # fmt: skip

_time = _of("timeouts of routes", "times.com")
TIMES = [
    _time("no timeout", "/none"),
    _time("whole", "/whole", quiet=0.5),
    _time("per try", "/try", quiet=0.5),
    _time("per try idle", "/try-idle", quiet=0.5),
    _time("per try idle, again", "/try-idle-again", quiet=0.5),
    _time("idle within a response", "/drips", quiet=0.5),
    _time("idle", "/idle", quiet=0.5),
    _time("stream", "/stream", quiet=0.5),
    _time("stream of grpc", "/stream", GRPC, quiet=0.5),
    _time("stream, not set", "/stream-unset"),
    _time("stream, the listener's", "/stream-unset-slow", quiet=0.6, on="actions-short"),
    _time("stream, 0", "/stream-zero", quiet=1.2, on="actions-short"),
    _time("grpc-timeout within the limit", "/grpc", GRPC, "grpc-timeout: 2S"),
    _time("grpc-timeout over the limit", "/grpc", GRPC, "grpc-timeout: 1H"),
    _time("grpc-timeout of another content", "/grpc", "grpc-timeout: 2S"),
    _time("no grpc-timeout", "/grpc", GRPC),
    _time("bad grpc-timeout", "/grpc", GRPC, "grpc-timeout: soon"),
    _time("grpc-timeout in microseconds", "/grpc", GRPC, "grpc-timeout: 2500100u"),
    _time("grpc-timeout in hours", "/grpc-any", GRPC, "grpc-timeout: 99999999H"),
    _time("grpc-timeout in minutes", "/grpc-any", GRPC, "grpc-timeout: 2000M"),
    _time("grpc-timeout with offset", "/grpc-off", GRPC, "grpc-timeout: 5S"),
    _time("old grpc limit", "/old-grpc", GRPC, "grpc-timeout: 5S"),
    _time("old grpc offset", "/old-grpc", GRPC, "grpc-timeout: 250m"),
    _time("old grpc without a timeout", "/old-grpc", GRPC),
    _time("old grpc of anything", "/old-grpc-any", GRPC, "grpc-timeout: 5S"),
    _time("old grpc, no grpc", "/old-grpc", "grpc-timeout: 5S"),
    _time("old grpc, quiet", "/old-grpc", GRPC, "grpc-timeout: 5S", on="actions-quiet"),
]

_retry = _of("retries of routes", "retries.com")
RETRIES = [
    _retry("grpc status", "/grpc-14", GRPC),
    _retry("grpc status of no interest", "/grpc-5", GRPC),
    _retry("rate limited", "/limited/yes"),
    _retry("rate limited, not asked for", "/limited/no"),
    _retry("header present", "/asks/present"),
    _retry("header of another value", "/asks/value"),
    _retry("status as header", "/asks/status"),
    _retry("headers without their condition", "/asks/unnamed"),
    _retry("request header missing", "/u/500"),
    _retry("request header there", "/u/500", "x-retry: 1"),
    _retry("method as header", "PUT /u/500"),
    _retry("come back at once", "/later"),
    _retry("come back too late", "/much-later"),
    _retry("after a timeout", "/u/slow", quiet=0.5),
    _retry("condition of http3", "/u/500/x", on="actions"),
]

_reply = _of("local replies mapped", "a.com", "replies")
REPLIES = [
    _reply("status and body", "/tea", "x-a: given"),
    _reply("by flag", "/dead"),
    _reply("no route", "/nowhere"),
    _reply("no route, marked", "/nowhere", "x-map: 1", "x-a: given"),
    _reply("body emptied", "/410"),
    _reply("timeout", "/u/slow", quiet=0.5),
    _reply("no body", "/bare"),
    _reply("redirect", "/to"),
    _reply("typed direct response", "/typed"),
    _reply("grpc", "/tea", GRPC),
    _reply("grpc, dead", "/dead", GRPC),
    _reply("head", "HEAD /tea"),
    _reply("upstream's own", "/u/500"),
    Case("local replies mapped", "malformed", (b"GET\r\n\r\n",), "replies"),
    Case("local replies mapped", "malformed, json", (b"GET\r\n\r\n",), "replies-json"),
    _reply("json", "/tea", "x-a: given", on="replies-json"),
    _reply("json, no body", "/bare", on="replies-json"),
    _reply("json, head", "HEAD /tea", on="replies-json"),
    _reply("json, grpc", "/tea", GRPC, on="replies-json"),
    _reply("json, redirect", "/to", on="replies-json"),
    _reply("typed", "/tea", on="replies-typed"),
    _reply("typed, grpc", "/tea", GRPC, on="replies-typed"),
    _reply("typed twice", "/typed", on="replies-typed"),
]

CASES = [
    *PATHS, *HOSTS, *WEIGHTS, *HASHES, *REDIRECTS, *ANSWERS, *FOLLOWED, *TIMES, *RETRIES, *REPLIES,
]  # fmt: skip
