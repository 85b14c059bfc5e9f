"""Route tests in YAML -> what to ask and what to expect. The shape is that of Envoy's router check tool, with more.

A key that is not known is an error with its line, as in a configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from envoymesh.config.load import read_document
from envoymesh.config.messages import message_class
from envoymesh.config.parse import Parser
from envoymesh.config.reader import Reader
from envoymesh.config.source import Key, Source
from envoymesh.errors import ConfigError
from envoymesh.explain.question import Question
from envoymesh.matching.config import read_header_matcher
from envoymesh.matching.headers import HeaderMatcher

HEADER_MATCHER: Final = "envoy.config.route.v3.HeaderMatcher"

_INPUT: Final = {
    "authority", "path", "method", "random_value", "ssl", "runtime", "additional_request_headers",
    "additional_headers", "body", "from", "sni", "listener", "port",
}  # fmt: skip
TEXTS: Final = (
    "cluster_name",
    "virtual_cluster_name",
    "virtual_host_name",
    "route_name",
    "host_rewrite",
    "path_rewrite",
    "path_redirect",
    "details",
    "host",
)
"""What is compared as text; an empty text is that there is none."""
_MATCHES: Final = {
    "request_header_matches": True,
    "response_header_matches": False,
}
_FIELDS: Final = {
    "request_header_fields": True,
    "header_fields": True,
    "response_header_fields": False,
}


@dataclass(frozen=True, slots=True)
class HeaderExpectation:
    """What a header of the request as it is sent upstream, or of the answer, must be.

    Args:
        value: the value of a header field; None where `matcher` decides.
    """

    of_request: bool
    matcher: HeaderMatcher
    line: int | None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class RouteTest:
    """One test.

    Args:
        random_value: what decides on weighted clusters; None leaves that to the middle of all chances.
        runtime: a runtime key whose share is all requests; empty is none.
        texts: expected values by the keys of `TEXTS`, with their lines.
        status: of the answer, with its line; None is not looked at.
    """

    name: str
    file: str
    line: int | None
    question: Question
    random_value: int | None = None
    runtime: str = ""
    texts: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)
    status: tuple[int, int | None] | None = None
    headers: Sequence[HeaderExpectation] = ()


def load_tests(path: str) -> list[RouteTest]:
    """Read a file of route tests. Errors: ConfigError with the line."""
    document = read_document(path)
    source = Source(path, document.lines)
    root = _Node(document.value, (), source)
    root.only({"tests"})
    return [_read_test(each) for each in root.list_("tests")]


class _Node:
    """A value of the document, and where it stands."""

    def __init__(self, value: Any, key: Key, source: Source) -> None:
        self.value = value
        self.key = key
        self.source = source

    @property
    def line(self) -> int | None:
        return self.source.lines.get(self.key)

    def error(self, message: str) -> ConfigError:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.key).lstrip(".")
        return ConfigError(message, path, self.source.file, self.line)

    def mapping(self) -> Mapping[str, Any]:
        if not isinstance(self.value, Mapping):
            raise self.error("expected a mapping")
        return self.value

    def only(self, known: set[str]) -> None:
        for name in self.mapping():
            if name not in known:
                raise self.child(name).error(f"unknown key; known are: {', '.join(sorted(known))}")

    def child(self, name: str) -> _Node:
        return _Node(self.mapping().get(name), (*self.key, name), self.source)

    def list_(self, name: str) -> list[_Node]:
        found = self.child(name)
        if found.value is None:
            return []
        if not isinstance(found.value, list):
            raise found.error("expected a list")
        return [_Node(each, (*found.key, place), self.source) for place, each in enumerate(found.value)]

    def text(self, name: str, default: str = "") -> str:
        found = self.child(name)
        if found.value is None:
            return default
        if isinstance(found.value, bool):
            return "true" if found.value else "false"
        if not isinstance(found.value, str | int):
            raise found.error("expected a text")
        return str(found.value)

    def number(self, name: str) -> int | None:
        found = self.child(name)
        if found.value is None:
            return None
        if isinstance(found.value, bool) or not str(found.value).isdigit():
            raise found.error("expected a number that is not negative")
        return int(found.value)

    def boolean(self, name: str) -> bool:
        found = self.child(name)
        if not isinstance(found.value, bool | None):
            raise found.error("expected true or false")
        return bool(found.value)


def _read_test(node: _Node) -> RouteTest:
    node.only({"test_name", "input", "validate"})
    name, validate = node.text("test_name"), node.child("validate")
    if not name:
        raise node.error("test_name is missing")
    if not validate.value:
        raise node.error(f"{name}: validate is missing: a test that expects nothing cannot fail")
    known = {*TEXTS, *_MATCHES, *_FIELDS, "status"}
    validate.only(known)
    given = node.child("input")
    if "internal" in given.mapping():
        raise given.child("internal").error("is decided by the client's address, as in the proxy: write from: ADDRESS")
    given.only(_INPUT)
    status = validate.number("status")
    return RouteTest(
        name=name,
        file=node.source.file,
        line=node.line,
        question=_read_question(given),
        random_value=given.number("random_value"),
        runtime=given.text("runtime"),
        texts={key: (validate.text(key), validate.child(key).line) for key in TEXTS if key in validate.mapping()},
        status=None if status is None else (status, validate.child("status").line),
        headers=_read_headers(validate),
    )


def _read_question(given: _Node) -> Question:
    for name in ("authority", "path"):
        if not given.text(name):
            raise given.error(f"{name} is missing")
    body = given.text("body")
    fields = [*given.list_("additional_request_headers"), *given.list_("additional_headers")]
    authority = given.text("authority")
    return Question(
        method=given.text("method", "POST" if body else "GET"),
        path=given.text("path"),
        host=authority.rpartition(":")[0] or authority,
        port=given.number("port"),
        authority=authority,
        headers=[_read_field(each) for each in fields],
        body=body.encode(),
        source=given.text("from"),
        sni=given.text("sni"),
        listener=given.text("listener"),
        scheme=("https" if given.boolean("ssl") else "http") if given.child("ssl").value is not None else "",
    )


def _read_field(node: _Node) -> tuple[str, str]:
    node.only({"key", "value"})
    if not node.text("key"):
        raise node.error("key is missing")
    return node.text("key").lower(), node.text("value")


def _read_headers(validate: _Node) -> list[HeaderExpectation]:
    found = []
    for name, of_request in _MATCHES.items():
        found += [HeaderExpectation(of_request, _read_matcher(each), each.line) for each in validate.list_(name)]
    for name, of_request in _FIELDS.items():
        for each in validate.list_(name):
            key, value = _read_field(each)
            found.append(HeaderExpectation(of_request, HeaderMatcher(key.encode()), each.line, value))
    return found


def _read_matcher(node: _Node) -> HeaderMatcher:
    """An envoy.config.route.v3.HeaderMatcher."""
    message = message_class(HEADER_MATCHER)()
    size = len(node.key)
    lines = {key[size:]: line for key, line in node.source.lines.items() if key[:size] == node.key}
    source = Source(node.source.file, lines)
    parser = Parser(source)
    parser.fill(message, node.value)
    if parser.errors:
        raise parser.errors[0]
    reader = Reader(message, "", source)
    matcher = read_header_matcher(reader)
    reader.finish()
    return matcher
