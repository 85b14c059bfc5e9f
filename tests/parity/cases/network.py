"""Network filters: `tcp_proxy`, `echo`, `direct_response` and `sni_cluster` (tcp_setup.py)."""

from __future__ import annotations

from tests.integration.exchanges import get
from tests.integration.harness import ShutdownWrite, Until, Wait
from tests.parity.case import Case, Tls
from tests.parity.certificates import tls
from tests.parity.steps import CaseStep, Closed, Connect, Use
from tests.parity.tcp_setup import LARGE, SETUP, Reset, Rest, show

TCP, SIMPLE = "TCP proxy", "network filters"
ASK, END = b"ask me\n", ShutdownWrite()


def case(name: str, on: str, *steps: CaseStep, lines: int = 1, quiet: float = 0.0, how: Tls | None = None) -> Case:
    counted = how is None and "tls" not in on
    return Case(TCP, name, steps, on, quiet, show, how, bytes_counted=counted, lines=lines, setup=SETUP)


def simple(name: str, on: str, *steps: CaseStep, lines: int = 0, how: Tls | None = None) -> Case:
    return Case(SIMPLE, name, steps, on, 0.0, show, how, bytes_counted=how is None, lines=lines, setup=SETUP)


ENDS = [
    case("an answer, then the client ends", "answers", ASK, Until(b"answer\n"), END, Closed()),
    case("the client ends with its question", "answers", ASK, END, Closed()),
    case(
        "an answer in pieces of a question", "answers", b"a", Wait(0.05), b"s", Wait(0.05), b"k\n", Until(b"r\n"), END
    ),
    case("the server speaks first", "speaks-first", Until(b"hello\n"), ASK, Until(b"bye\n"), END, Closed()),
    case("the server speaks first, the client has spoken", "speaks-first", ASK, Until(b"bye\n"), END, Closed()),
    case("the server closes", "closes", ASK, Closed()),
    case("the server closes at once", "closes-at-once", Closed()),
    case("the server closes with something unread", "closes-unread", ASK, Closed()),
    case("the server ends its side first", "half-closes", ASK, Until(b"bye\n"), Wait(0.1), b"more", END, Closed()),
    case("the server ends its side at once", "half-closes-first", Wait(0.1), ASK, Wait(0.1), END, Closed()),
    case("the server answers after the client has ended", "after-the-end", b"all", END, Until(b"ended\n"), Closed()),
    case("zero bytes, then the client ends", "after-the-end", END, Until(b"ended\n"), Closed()),
    case("zero bytes", "silent", Wait(0.2)),
    case("the server resets", "resets", ASK, Closed()),
    case("the server resets behind an answer", "resets-later", ASK, Until(b"bye\n"), Closed()),
    case("the client resets", "silent", b"abc", Wait(0.2), Reset()),
    case("the client resets behind an answer", "answers", ASK, Until(b"answer\n"), Reset()),
    case("the client resets without a word", "silent", Wait(0.1), Reset()),
    case("the client goes", "silent", b"abc"),
]

FAILURES = [
    case("nobody listens", "dead", Closed()),
    case("the connect timeout, the client has spoken", "hanging", ASK, Closed()),
    case("nobody listens, three attempts", "dead-thrice", Closed()),
    case("nobody listens, three attempts with pauses", "dead-backoff", Closed()),
    case("the connect timeout", "hanging", Closed()),
    case("the connect timeout, twice", "hanging-twice", Closed()),
    case("the client goes while it is connected to", "hanging", Wait(0.05), END, Wait(0.05), Reset()),
    case("an unknown cluster", "unknown", Closed()),
    case("a cluster without hosts", "no-hosts", Closed()),
    case("one connection may be", "one-at-a-time", ASK, Wait(0.1), Connect(), Closed(), Use(0), END, lines=2),
    case("nobody may wait", "none-may-wait", Closed()),
]

LIMITS = [
    case("idle", "idle", Closed(), quiet=0.6),
    case("idle after bytes", "idle", b"abc", Wait(0.2), b"def", Closed(), quiet=0.6),
    case("idle after the client has ended", "idle-flush", b"abc", END, Closed(), quiet=0.6),
    case("never idle", "never-idle", b"abc", Wait(0.5)),
    case("fields of no effect", "unread-idle", b"abc", Wait(0.5)),
    case("a longest duration", "short-lived", b"abc", Closed(), quiet=0.6),
]

ROUTES = [
    case("one weighted cluster", "all-to-one", ASK, Until(b"\n"), END, Closed()),
    case("nearly all weight on one", "nearly-all-to-one", ASK, Until(b"\n"), END, Closed()),
    case("a log when connected", "told-early", Until(b"hello\n"), ASK, Until(b"bye\n"), END, Closed(), lines=2),
    case("a log now and then", "told-often", b"abc", Wait(0.45), END, lines=2),
    case("reading before the upstream is there", "early", Wait(0.1), ASK, Until(b"answer\n"), END, Closed()),
    case("more of it than is kept", "early-large", LARGE, Until(b"all\n"), END, Closed()),
    case("connecting when something has come", "on-data", Wait(0.1), ASK, Until(b"answer\n"), END, Closed()),
    case("connecting when something has come, nobody listens", "on-data-dead", ASK, Closed()),
]

LARGER = [
    case("a large answer", "large", ASK, END, Closed()),
    case("a large answer, read late", "large", ASK, Rest(0.4), END, Closed()),
    case("a large answer through small buffers", "small-large", ASK, END, Closed()),
    case("a large question to a server that rests", "small-slow", LARGE, Until(b"all\n"), END, Closed()),
    case("a large question", "large-later", LARGE, Until(b"all\n"), END, Closed()),
    case("a large question, the client ends at once", "large-later", LARGE, END, Until(b"all\n"), Closed()),
]

SECURE = [
    case("TLS ends here", "tls", ASK, Until(b"answer\n"), how=tls()),
    case(
        "TLS ends here, the server speaks first", "tls-speaks-first", Until(b"hello\n"), ASK, Until(b"e\n"), how=tls()
    ),
    case("TLS ends here, the server ends first", "tls-half-closes", ASK, Until(b"bye\n"), Closed(), how=tls()),
    case("TLS ends here, a large answer", "tls-large", ASK, Closed(), how=tls()),
    case("TLS ends here, a client without a handshake", "tls", Wait(0.1), END, Closed()),
    case("TLS to the upstream", "to-tls", ASK, Until(b"secure\n"), END, Closed()),
    case("TLS to the upstream, which closes", "to-tls-closing", ASK, Closed()),
    case("TLS on both sides", "tls-to-tls", ASK, Until(b"secure\n"), how=tls()),
    case("inspected, no TLS", "inspected", ASK, Until(b"answer\n"), END, Closed()),
    case("by server name: one", "by-name", ASK, Until(b"\n"), how=tls(server_name="b.example.com")),
    case("by server name: another", "by-name", ASK, Until(b"\n"), how=tls(server_name="x.wild.example.com")),
    case("by server name: HTTP", "by-name", get("/"), Until(b"ok\n"), lines=0, how=tls(server_name="a.example.com")),
    case("by server name: none", "by-name", ASK, Until(b"bye\n"), END, Closed()),
    case("by server name: unknown", "by-name", lines=0, how=tls(server_name="c.example.com")),
    case("the server name is the cluster: none", "sni-cluster", ASK, Until(b"bye\n"), END, Closed()),
]

SIMPLE_CASES = [
    simple("echo", "echo", b"abc", Until(b"abc"), b"def", Until(b"def"), END, Closed()),
    simple("echo of nothing", "echo", END, Closed()),
    simple("echo of much", "echo", LARGE, Until(LARGE), END, Closed()),
    simple("echo, a reset", "echo", b"abc", Until(b"abc"), Reset()),
    simple("echo, logged by the listener", "echo-logged", b"abc", Until(b"abc"), END, Closed(), lines=1),
    simple("echo under TLS", "echo-tls", b"abc", Until(b"abc"), how=tls()),
    simple("a direct response", "direct", Closed()),
    simple("a direct response, the client ends", "direct", END, Closed()),
    simple("a direct response, logged by the listener", "direct-logged", Closed(), lines=1),
    simple("an empty direct response", "direct-empty", Closed()),
    simple("a direct response under TLS", "direct-tls", Closed(), how=tls()),
    simple("a TCP proxy, logged by the listener", "tcp-logged", ASK, Until(b"answer\n"), END, Closed(), lines=1),
    simple("a TCP proxy without upstream, logged by the listener", "dead-logged", Closed(), lines=1),
]

CASES = [*ENDS, *FAILURES, *LIMITS, *ROUTES, *LARGER, *SECURE, *SIMPLE_CASES]
