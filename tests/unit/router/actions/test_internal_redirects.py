"""Which redirects are followed, and to where."""

from __future__ import annotations

import pytest

from envoymesh.router.actions.internal_redirects import (
    InternalRedirectPolicy,
    RedirectHistory,
    Target,
    parse_location,
)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"http://a.com/p?q#f", Target(b"http", b"a.com", b"/p?q")),
        (b"HTTPS://a.com:81", Target(b"HTTPS", b"a.com:81", b"/")),
        (b"http://a.com?q=/", Target(b"http", b"a.com", b"/?q=/")),
        (b"http://[::1]:80/x", Target(b"http", b"[::1]:80", b"/x")),
        (b"http://u:p@a.com/x@y", Target(b"http", b"a.com", b"/x@y")),
        (b"http://a.com:65535", Target(b"http", b"a.com:65535", b"/")),
        (b"http://a.com:65536", None),
        (b"http://a.com:http/x", None),
        (b"http://a.com/a b", None),
        (b"http://a.com/\xe9", None),
        (b"http://a .com/", None),
        (b"http://a.com/\r\nx: y", None),
        (b"http://a.com/x\n", None),
        (b"ftp://a.com/x", Target(b"ftp", b"a.com", b"/x")),
        (b"/relative", None),
        (b"http:///x", None),
        (b"http:/a.com", None),
        (b"", None),
        (b"://a", None),
    ],
)
def test_locations(location: bytes, target: Target | None) -> None:
    assert parse_location(location) == target


@pytest.mark.parametrize(
    ("from_https", "to_https", "accepted"), [(True, True, True), (True, False, True), (False, True, False)]
)
def test_safe_schemes(from_https: bool, to_https: bool, accepted: bool) -> None:
    policy = InternalRedirectPolicy(safe_cross_scheme=True)
    assert policy.accepts("r", RedirectHistory(), from_https=from_https, to_https=to_https) is accepted


def test_no_route_twice() -> None:
    policy, other = (InternalRedirectPolicy(name, previous_routes=True) for name in ("one", "two"))
    history = RedirectHistory()

    def accepts(policy: InternalRedirectPolicy, target: str) -> bool:
        return policy.accepts(target, history, from_https=False, to_https=False)

    assert [accepts(policy, target) for target in ("a", "b", "a")] == [True, True, False]
    assert accepts(other, "a"), "each route has a list of its own"


def test_only_routes_of_a_list() -> None:
    policy = InternalRedirectPolicy(allowed_routes=frozenset({"a"}))
    made = [policy.accepts(name, RedirectHistory(), from_https=False, to_https=False) for name in ("a", "b")]
    assert made == [True, False]


def test_the_history_is_filter_state_of_the_request() -> None:
    history = RedirectHistory()
    history.count = 2
    assert (history.as_text(), history.as_json(), history.lives_with_request()) == ("2", 2, True)
