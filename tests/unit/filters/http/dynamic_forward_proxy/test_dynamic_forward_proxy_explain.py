"""What the dynamic forward proxy filter says of a request: which host is looked up, and where that is taken from."""

from envoymesh.filters.http.dynamic_forward_proxy.explain import explain_dynamic_forward_proxy
from envoymesh.filters.http.dynamic_forward_proxy.filter import HostRewrite
from envoymesh.filters.http.explanation import FilterCase
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.paths import PrefixPath
from envoymesh.router.table import ClusterAction, DirectResponseAction, Route
from tests.support.fakes import FakeConnection

SETTINGS = {"dns_cache_config": {"name": "names"}}


def said(route: Route | None, *own: HostRewrite, authority: bytes | None = b"own.example") -> list[str]:
    headers = RequestHeaders(b"GET", b"/", authority, b"http", [(b"x-to", b"other.example")])
    info = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
    return [each.text for each in explain_dynamic_forward_proxy(FilterCase(SETTINGS, own, route, headers, False, info))]


def to_cluster() -> Route:
    return Route("r", PrefixPath(b"/"), ClusterAction("dynamic"))


def test_the_requests_own_host() -> None:
    (text,) = said(to_cluster())
    assert "the cluster dynamic takes its hosts from the cache names" in text
    assert "until 'own.example' has addresses" in text


def test_a_host_from_elsewhere() -> None:
    for own, where, host in (
        (HostRewrite(header=b"x-to"), "the header x-to", "other.example"),
        (HostRewrite(literal=b"third.example"), "host_rewrite_literal", "third.example"),
        (HostRewrite(header=b"x-none"), "the header x-none", "own.example"),
    ):
        first, second = said(to_cluster(), own)
        assert first == f"the route takes the host from {where}"
        assert f"'{host}'" in second


def test_no_host_and_no_cluster() -> None:
    assert said(to_cluster(), authority=None) == ["the request names no host: answered here, with 400"]
    for route in (None, Route("r", PrefixPath(b"/"), DirectResponseAction(200))):
        assert said(route) == ["the request goes to no cluster, so no host is looked up"]
