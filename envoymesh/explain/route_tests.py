"""Route tests: each is a dry run whose explanation is held against what the test expects; and what no test reached.

It must not match anything itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from envoymesh.errors import EnvoymeshError
from envoymesh.explain.places import Place
from envoymesh.explain.route_test_file import HeaderExpectation, RouteTest
from envoymesh.http.headers import RequestHeaders

Json = dict[str, Any]

_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a test expected and did not get; `line` is the expectation's in the file of tests."""

    test: RouteTest
    message: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """Something that a test may reach: a virtual host, a route, or a condition that turns requests away.

    Args:
        key: what makes it one: routes that an anchor puts into two listeners are one.
    """

    key: tuple[str, str, int | None, str]
    text: str
    place: Place


@dataclass(slots=True)
class Coverage:
    """All items by their keys, and the keys of those that were reached."""

    items: dict[object, Item] = field(default_factory=dict)
    reached: set[object] = field(default_factory=set)

    @property
    def missing(self) -> list[Item]:
        """Those that no test reached, in the order of the file."""
        return [item for key, item in self.items.items() if key not in self.reached]

    @property
    def percent(self) -> float:
        """Of all items; 100 where there are none."""
        return 100.0 * (len(self.items) - len(self.missing)) / len(self.items) if self.items else 100.0


@dataclass(slots=True)
class Results:
    """What came of all tests."""

    total: int = 0
    failures: list[Failure] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def passed(self) -> int:
        """Tests without a failure."""
        return self.total - len({id(each.test) for each in self.failures})


def run_tests(tests: Sequence[RouteTest], ask: Callable[[RouteTest], Json], items: Sequence[Item]) -> Results:
    """Run all tests.

    Args:
        ask: gives the explanation of a test's request. Errors: EnvoymeshError is that test's failure.
        items: all that tests can reach.
    """
    results = Results(len(tests), coverage=Coverage({item.key: item for item in items}))
    for test in tests:
        try:
            told = ask(test)
        except EnvoymeshError as error:
            results.failures.append(Failure(test, str(error), test.line))
            continue
        results.failures += [Failure(test, message, line) for message, line in _compare(test, told)]
        results.coverage.reached.update(_reached(told))
    return results


# Coverage


def item_key(kind: str, place: Place, detail: str = "") -> tuple[str, str, int | None, str]:
    """What makes an item one: where it stands, or its path where that is not known."""
    line = place["line"]
    return kind, str(place["file"] if line is not None else place["path"]), line, detail


def _reached(told: Json) -> Iterator[object]:
    host = told.get("virtual_host")
    if not host or host["name"] is None:
        return
    yield item_key("virtual host", host["place"], host["name"])
    for each in told["routes"]:
        if each["matches"]:
            yield item_key("route", each["place"])
        else:
            yield item_key("condition", each["place"], each["why_not"]["field"])


# Expectations


def _compare(test: RouteTest, told: Json) -> Iterator[tuple[str, int | None]]:
    for key, (expected, line) in test.texts.items():
        got = _text_of(key, told)
        if got != expected:
            yield f"{key} is {got or _NONE!r}, and {expected or _NONE!r} was expected", line
    answer = told.get("answer") or {}
    if test.status is not None and answer.get("status") != test.status[0]:
        got_status = answer.get("status") or f"no answer ({told['problem'] or answer.get('reset') or 'closed'})"
        yield f"status is {got_status}, and {test.status[0]} was expected", test.status[1]
    for expectation in test.headers:
        why = _why_not_header(expectation, told)
        if why:
            yield why, expectation.line


def _text_of(key: str, told: Json) -> str:
    """What a run has for one of `TEXTS`, empty where it has none."""
    action, upstream = told.get("action") or {}, told.get("upstream") or {}
    host, answer = told.get("virtual_host") or {}, told.get("answer") or {}
    sent = dict(map(tuple, upstream.get("sent") or ()))
    matched: Json = next((each for each in told.get("routes", ()) if each["matches"]), {})
    found = {
        "cluster_name": lambda: action.get("cluster"),
        "virtual_cluster_name": lambda: host.get("virtual_cluster"),
        "virtual_host_name": lambda: host.get("name"),
        "route_name": lambda: matched.get("name"),
        "host_rewrite": lambda: sent.get(":authority"),
        "path_rewrite": lambda: sent.get(":path"),
        "path_redirect": lambda: dict(map(tuple, answer.get("headers", ()))).get("location"),
        "details": lambda: answer.get("details"),
        "host": lambda: upstream.get("host"),
    }[key]()
    return str(found or "")


def _why_not_header(expectation: HeaderExpectation, told: Json) -> str:
    """Why a header is not as it is expected; empty where it is."""
    fields = _fields_of(expectation.of_request, told)
    whose = "the request upstream" if expectation.of_request else "the answer"
    name = expectation.matcher.name.decode()
    if expectation.value is None:
        why = expectation.matcher.why_not(_as_headers(fields)).replace("the route wants", "the test wants")
        return f"{whose}: {why}" if why else ""
    got = [value for key, value in fields if key == name]
    if got == [expectation.value] or (not got and not expectation.value):
        return ""
    return f"{whose}: {name} is {', '.join(got) or _NONE!r}, and {expectation.value or _NONE!r} was expected"


def _fields_of(of_request: bool, told: Json) -> list[tuple[str, str]]:
    upstream, answer = told.get("upstream") or {}, told.get("answer") or {}
    pairs = (upstream.get("sent") or ()) if of_request else answer.get("headers", ())
    return [(name, value) for name, value in pairs]


def _as_headers(fields: Sequence[tuple[str, str]]) -> RequestHeaders:
    """As matchers want them; a status is a header as any other."""
    pseudo = {name: value.encode() for name, value in fields if name.startswith(":")}
    others = [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields]
    authority, scheme = pseudo.get(":authority"), pseudo.get(":scheme", b"")
    return RequestHeaders(pseudo.get(":method", b""), pseudo.get(":path", b""), authority, scheme, others)
