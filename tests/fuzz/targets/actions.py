"""What the actions of routes read: locations, grpc-timeout, cookies, numbers, regex substitutions."""

from __future__ import annotations

from hypothesis import strategies as st

from envoymesh.http.headers import RequestHeaders
from envoymesh.router.actions.durations import read_grpc_timeout, set_grpc_timeout
from envoymesh.router.actions.hash_policy import cookie_value
from envoymesh.router.actions.internal_redirects import parse_location
from envoymesh.router.actions.rewrites import RegexSubstitution, parse_substitution
from envoymesh.router.numbers import parse_number
from tests.fuzz.target import Target, mutated

SUBSTITUTIONS = [
    RegexSubstitution("a*", "x"),
    RegexSubstitution("(a)|(b)|()", r"[\1\2\3]"),
    RegexSubstitution("[^a]+", ""),
]


def check_location(data: bytes) -> None:
    """A redirect leads to a host and to a path of one line, or nowhere."""
    target = parse_location(data)
    if target is None:
        return
    assert target.path.startswith(b"/")
    assert target.host
    assert not set(target.scheme + target.host + target.path) - set(range(0x21, 0x7F))
    assert b"#" not in target.path
    assert b"/" not in target.host + target.scheme


def check_values(data: bytes) -> None:
    """Whatever a header says, it is a value or none."""
    headers = RequestHeaders(b"GET", b"/", b"a", fields=[(b"grpc-timeout", data), (b"cookie", data)])
    seconds = read_grpc_timeout(headers)
    if seconds is not None:
        assert seconds >= 0
        set_grpc_timeout(headers, seconds)
        told = read_grpc_timeout(headers)
        assert told is not None
        assert told <= seconds + 1e-9
    assert b";" not in cookie_value(headers, b"k")
    number = parse_number(data)
    assert number is None or 0 <= number < 1 << 64


def check_substitution(data: bytes) -> None:
    """A text is walked through once; a substitution is read to its end, or to what is none."""
    for each in SUBSTITUTIONS:
        each.replace_all(data)
    assert SUBSTITUTIONS[2].replace_all(data) == b"a" * data.count(b"a")
    assert all(isinstance(part, bytes) or 0 <= part <= 9 for part in parse_substitution(data))


LOCATIONS = st.lists(
    st.sampled_from(
        b"http:// HTTPS:// ftp:// a.org [::1] :80 :99999 user@ / ?q #f a%20 \xe9 \r\n @ : [".split(b" ")
    ),
    max_size=6,
).map(b"".join)  # fmt: skip
VALUES = st.lists(
    st.sampled_from([b"k=", b";", b" ", b'"', b"1", b"99999999", b"S", b"m", b"n", b"H", b"+", b"-"]), max_size=8
).map(b"".join)
TEXTS = st.lists(st.sampled_from([b"a", b"b", b"aa", b"\\1", b"\\", b"\xff", b"\n"]), max_size=12).map(b"".join)

TARGETS_HERE = [
    Target("location", check_location, mutated(LOCATIONS, [b"://", b"@", b"#", b"?", b" ", b"\r\n"]), 96),
    Target("values", check_values, mutated(VALUES, [b"=", b";", b'"', b"0"]), 64),
    Target("substitution", check_substitution, mutated(TEXTS, [b"\\", b"a"]), 64),
]
