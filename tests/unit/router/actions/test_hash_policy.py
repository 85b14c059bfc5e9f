"""Hash policies. Which of sixteen weighted clusters the real Envoy took by these hashes, tests/parity compares; the
values are XXH64's."""

from __future__ import annotations

import pytest
import xxhash

from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import FilterState, StreamInfo, TextState
from envoymesh.network.api import Address
from envoymesh.router.actions.hash_policy import (
    CookieHash,
    FilterStateHash,
    HashMethod,
    HashPolicy,
    HashStep,
    HeaderHash,
    QueryParameterHash,
    SourceIpHash,
    cookie_value,
    new_cookie_value,
)
from envoymesh.router.actions.rewrites import RegexSubstitution
from tests.support.fakes import FakeConnection


class Hashed(FilterState):
    """Something that says what is hashed."""

    def hashed(self) -> str | None:
        return "a"


def info() -> StreamInfo:
    made = StreamInfo(FakeConnection(), HttpProtocol.HTTP11, 0.0, 0.0, 1)
    made.trusted_remote = Address("9.8.7.6", 80)
    made.set_filter_state("hashed", Hashed())
    made.set_filter_state("text", TextState("a"))
    return made


def request(path: bytes = b"/", *fields: tuple[bytes, bytes]) -> RequestHeaders:
    return RequestHeaders(b"GET", path, b"a.com", fields=list(fields))


def policy(*methods: HashMethod) -> HashPolicy:
    return HashPolicy([HashStep(method) for method in methods])


def xxh64(text: bytes, seed: int = 0) -> int:
    return xxhash.xxh64(text, seed).intdigest()


def test_the_reference() -> None:
    # From the test vectors of xxHash's specification.
    assert xxh64(b"") == 0xEF46DB3751D8E999
    assert xxh64(b"foo") == 0x33BF00A859C4BA3F


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (HeaderHash(b"x-a"), xxh64(b"v")),
        (HeaderHash(b"x-b"), None),
        (HeaderHash(b":authority"), xxh64(b"a.com")),
        (HeaderHash(b"x-two"), xxh64(b"2", xxh64(b"1"))),
        (HeaderHash(b"x-two", RegexSubstitution("[0-9]", "n")), xxh64(b"n", xxh64(b"n"))),
        (CookieHash(b"k"), xxh64(b"c")),
        (CookieHash(b"q"), xxh64(b"quoted")),
        (CookieHash(b"none"), None),
        (SourceIpHash(), xxh64(b"9.8.7.6")),
        (QueryParameterHash(b"k"), xxh64(b"p")),
        (QueryParameterHash(b"empty"), xxh64(b"")),
        (QueryParameterHash(b"none"), None),
        (FilterStateHash("hashed"), xxh64(b"a")),
        (FilterStateHash("text"), None),
        (FilterStateHash("none"), None),
    ],
)
def test_methods(method: HashMethod, expected: int | None) -> None:
    cookies = (b"cookie", b'other=1; k=c;q="quoted"')
    headers = request(b"/x?k=p&k=later&empty=", (b"x-a", b"v"), (b"x-two", b"2"), (b"x-two", b"1"), cookies)
    assert method.evaluate(headers, info(), None) == expected


def test_hashes_are_turned_and_joined() -> None:
    headers = request(b"/?k=b", (b"x-a", b"a"))
    first, second = xxh64(b"a"), xxh64(b"b")
    turned = (first << 1 | first >> 63) & (1 << 64) - 1
    both = policy(HeaderHash(b"x-a"), QueryParameterHash(b"k"))
    assert both.generate_hash(headers, info(), None) == turned ^ second
    # Two of the same are not nothing.
    assert policy(HeaderHash(b"x-a"), HeaderHash(b"x-a")).generate_hash(headers, info(), None) == turned ^ first
    assert policy(HeaderHash(b"x-b")).generate_hash(headers, info(), None) is None


def test_a_terminal_method_ends_it_where_there_is_a_hash() -> None:
    made = HashPolicy([HashStep(HeaderHash(b"x-a"), True), HashStep(QueryParameterHash(b"k"))])
    assert made.generate_hash(request(b"/?k=b", (b"x-a", b"a")), info(), None) == xxh64(b"a")
    assert made.generate_hash(request(b"/?k=b"), info(), None) == xxh64(b"b")


def test_a_cookie_is_given_where_there_is_none() -> None:
    given: list[bytes] = []

    def add(cookie: CookieHash) -> bytes:
        given.append(cookie.set_cookie(b"new"))
        return b"new"

    made = policy(CookieHash(b"k", 60, b"/p", [(b"SameSite", b"Lax"), (b"Secure", b"")]))
    assert made.generate_hash(request(), info(), add) == xxh64(b"new")
    assert given == [b'k="new"; Max-Age=60; Path=/p; SameSite=Lax; Secure; HttpOnly']
    assert made.generate_hash(request(b"/", (b"cookie", b"k=old")), info(), add) == xxh64(b"old")
    assert made.generate_hash(request(), info(), None) is None
    assert len(given) == 1
    assert policy(CookieHash(b"k")).generate_hash(request(), info(), add) is None
    assert CookieHash(b"k", 0).set_cookie(b"v") == b'k="v"; HttpOnly'


def test_values_of_cookies() -> None:
    headers = request(b"/", (b"cookie", b'a=1; b="2"; c='), (b"cookie", b"d=4;a=5;e"))
    assert [cookie_value(headers, name) for name in (b"a", b"b", b"c", b"d", b"e")] == [b"1", b"2", b"", b"4", b""]


def test_a_new_cookie_is_the_real_envoys() -> None:
    downstream = FakeConnection(local="127.0.0.1:45599", remote="127.0.0.1:59212")
    made = StreamInfo(downstream, HttpProtocol.HTTP11, 0.0, 0.0, 1)
    assert new_cookie_value(made) == b"cd93475c36a71547"


def test_a_new_cookie_is_the_connections() -> None:
    one, two = info(), info()
    assert new_cookie_value(one) == new_cookie_value(two)
    assert len(new_cookie_value(one)) == 16
