"""The registry: which message is whose, in `http_filters` and in routes; what is refused, in Envoy's words."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.http.buffer.filter import BufferSettings
from envoymesh.filters.http.registry import FILTERS, read_route_filter_config
from envoymesh.matching.strings import StringMatcher
from envoymesh.router.config import RouteFactoryContext
from envoymesh.router.cors import CorsPolicy, effective_policy
from tests.support.fakes import FakeRuntime

CONTEXT = RouteFactoryContext(lambda *arguments: pytest.fail("not asked"), FakeRuntime({"k": 0.0}), lambda: 0.5)
HTTP = "envoy.extensions.filters.http."


def read(kind: str, *, optional: bool = False, **settings: Any) -> Any:
    """A route's settings of filter `f`."""
    reader = Reader(json_format.ParseDict(settings, message_class(kind)()), "there")
    made = read_route_filter_config("f", reader, optional, CONTEXT)
    reader.finish()
    return made


def test_settings_are_read_by_their_type() -> None:
    assert read(HTTP + "buffer.v3.BufferPerRoute", disabled=True) == BufferSettings(0, disabled=True)
    assert read(HTTP + "buffer.v3.BufferPerRoute", buffer={"max_request_bytes": 7}) == BufferSettings(7)
    policy = read(
        HTTP + "cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": "a"}],
        allow_credentials=False,
        filter_enabled={"default_value": {"numerator": 100}, "runtime_key": "k"},
    )
    assert (policy.allow_origins, policy.allow_credentials) == ([StringMatcher("exact", b"a")], False)
    assert (policy.enabled(), policy.shadowed()) == (False, False)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (HTTP + "router.v3.Router", "The filter f doesn't support virtual host or route specific configurations"),
        (HTTP + "buffer.v3.Buffer", f"the filter f takes a {HTTP}buffer.v3.BufferPerRoute here"),
        ("envoy.config.route.v3.RetryPolicy", "Didn't find a registered implementation for 'f' with type URL:"),
    ],
)
def test_what_is_no_filters_is_refused(kind: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        read(kind)
    assert caught.value.path == "there"


@pytest.mark.parametrize("kind", ["envoy.config.route.v3.RetryPolicy", HTTP + "router.v3.Router"])
def test_an_optional_filter_may_be_unknown(
    kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test before it may have left the log as the command line sets it up: silent, and not told to the root.
    monkeypatch.setattr(logging.getLogger("envoymesh"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("envoymesh.config"), "disabled", False)
    caplog.set_level(logging.WARNING, "envoymesh.config")
    assert read(kind, optional=True) is None
    assert f"there: the optional filter f has no settings of type {kind}" in caplog.text


def test_every_filter_that_routes_can_configure_has_both_a_type_and_a_reader() -> None:
    for kind in FILTERS.values():
        assert bool(kind.route_type) == (kind.read_route is not None)
    assert [name for name, kind in FILTERS.items() if kind.is_terminal] == [HTTP + "router.v3.Router"]


def test_policies_of_several_levels_complete_each_other() -> None:
    anyone, nobody = [StringMatcher("exact", b"*")], [StringMatcher("exact", b"x")]
    low = CorsPolicy(allow_origins=anyone, max_age=b"1", allow_credentials=True, filter_enabled=lambda: False)  # type: ignore[arg-type]
    high = CorsPolicy(allow_methods=b"GET", allow_credentials=False)
    made = effective_policy((low, high))
    assert made == CorsPolicy(allow_origins=anyone, allow_methods=b"GET", max_age=b"1", allow_credentials=False)
    assert made is not None
    assert (made.enabled(), made.allows(b"http://any")) == (True, True)
    assert not CorsPolicy(allow_origins=nobody).allows(b"y")
    assert effective_policy(()) is None
    assert effective_policy((low,)) is low
