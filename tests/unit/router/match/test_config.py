"""RouteMatch, one field at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo, TextState
from envoymesh.router.match.config import RouteMatch, read_route_match
from envoymesh.router.table import DirectResponseAction, Route
from tests.support.fakes import FakeConnection, FakeRuntime

TEMPLATE = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
RUNTIME = FakeRuntime({"none": 0.0})


def template(text: str, kind: str = TEMPLATE, field: str = "path_template") -> dict[str, Any]:
    message_class(kind)
    return {"name": "t", "typed_config": {"@type": f"type.googleapis.com/{kind}", field: text}}


def read(**fields: Any) -> RouteMatch:
    reader = Reader(json_format.ParseDict(fields, message_class("envoy.config.route.v3.RouteMatch")()), "match")
    made = read_route_match(reader, RUNTIME, 0.0)
    reader.finish()
    return made


def info(tls: bool = False) -> StreamInfo:
    connection = FakeConnection()
    if tls:
        facts = SimpleNamespace(peer_certificate_presented=True, peer_certificate_validated=True, sni="")
        connection.tls = facts  # type: ignore[assignment]  # as much of it as is asked for
    return StreamInfo(connection, None, 0.0, 0.0, 1)


def left() -> StreamInfo:
    made = info()
    made.set_dynamic_metadata("f", {"k": "v"})
    made.set_filter_state("s", TextState("a"))
    return made


def fits(match: RouteMatch, known: StreamInfo | None = None, path: bytes = b"/", method: bytes = b"GET") -> bool:
    route = Route("r", match.path, DirectResponseAction(200), match.headers, match.query_parameters, match.grpc)
    route.conditions = match.conditions
    return route.matches(RequestHeaders(method, path, b"a"), path, known)


def share(numerator: int, **more: Any) -> dict[str, Any]:
    return {"default_value": {"numerator": numerator}, **more}


METADATA = {"filter": "f", "path": [{"key": "k"}], "value": {"string_match": {"exact": "v"}}}


@pytest.mark.parametrize(
    ("fields", "yes", "no"),
    [
        ({"prefix": "/", "tls_context": {"presented": True}}, info(tls=True), info()),
        ({"prefix": "/", "tls_context": {"validated": True}}, info(tls=True), info()),
        ({"prefix": "/", "dynamic_metadata": [METADATA]}, left(), info()),
        ({"prefix": "/", "dynamic_metadata": [{**METADATA, "invert": True}]}, info(), left()),
        ({"prefix": "/", "filter_state": [{"key": "s", "string_match": {"exact": "a"}}]}, left(), info()),
    ],
)
def test_conditions(fields: dict[str, Any], yes: StreamInfo, no: StreamInfo) -> None:
    assert (fits(read(**fields), yes), fits(read(**fields), no)) == (True, False)


def test_shares() -> None:
    assert fits(read(prefix="/", runtime_fraction=share(100)))
    assert not fits(read(prefix="/", runtime_fraction=share(0)))
    assert not fits(read(prefix="/", runtime_fraction=share(100, runtime_key="none")))
    assert fits(read(prefix="/", runtime_fraction=share(100, runtime_key="unset")))


def test_paths() -> None:
    assert fits(read(path_match_policy=template("/{a}")), path=b"/x")
    assert not fits(read(path_match_policy=template("/{a}")), path=b"/x/y")
    assert fits(read(connect_matcher={}), path=b"", method=b"CONNECT")
    assert not fits(read(connect_matcher={}), path=b"/")
    assert fits(read(path_separated_prefix="/A", case_sensitive=False), path=b"/a/b")


def test_refused() -> None:
    other = template("/a", "google.protobuf.StringValue", "value")
    with pytest.raises(ConfigError, match="path matcher is not supported by envoymesh"):
        read(path_match_policy=other)
    with pytest.raises(ConfigError, match=r'path_template a is invalid: Invalid pattern: "a"'):
        read(path_match_policy=template("a"))
