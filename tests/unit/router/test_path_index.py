"""The index of paths finds what asking route by route finds, in the same order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.strings import RegexMatcher, RegexSet
from envoymesh.matching.uri_template import UriTemplate
from envoymesh.router.path_index import MOST_RUNS, runs_of
from envoymesh.router.paths import ConnectPath, ExactPath, PathMatcher, PrefixPath, RegexPath, TemplatePath
from envoymesh.router.route_list import INDEXED_FROM
from envoymesh.router.table import DirectResponseAction, Route, VirtualHost

WORDS = st.text("/aAb\n\xe9", max_size=4).map(lambda text: text.encode("latin-1"))
REGEXES = ["", "/", "/a.*", ".*a", "(?i)/a", "/[ab]+", "/a|/b", "(?s).*", "/a(b)?", "^/b$", r"/\C", "a{0}", "/\u00e9"]
MATCHERS = st.one_of(
    st.builds(PrefixPath, WORDS, st.booleans(), st.booleans()),
    st.builds(PrefixPath, WORDS),
    st.builds(ExactPath, WORDS, st.booleans()),
    st.builds(ExactPath, WORDS),
    st.sampled_from(REGEXES).map(lambda pattern: RegexPath(RegexMatcher(pattern))),
    st.sampled_from(["/", "/{a}", "/**", "/a*", "/a/{b}"]).map(lambda template: TemplatePath(UriTemplate(template))),
    st.none(),
)


def asked_one_by_one(paths: list[PathMatcher | None], path: bytes) -> list[int]:
    return [place for place, each in enumerate(paths) if each is None or each.matches(path)]


@given(st.lists(MATCHERS, max_size=12), WORDS)
def test_the_same_as_one_by_one(paths: list[PathMatcher | None], path: bytes) -> None:
    found = [place for run in runs_of(paths) for place in run.find(path)]
    assert found == asked_one_by_one(paths, path)


@given(st.sampled_from(REGEXES), WORDS)
def test_a_set_of_one_agrees_with_the_regex(pattern: str, value: bytes) -> None:
    matcher = RegexMatcher(pattern)
    assert matcher.matches(value) == (matcher._fullmatch(value) is not None)


def test_runs_are_of_one_kind() -> None:
    regex, template = RegexPath(RegexMatcher("/r")), TemplatePath(UriTemplate("/{a}"))
    texts = [ExactPath(b"/"), PrefixPath(b"/"), PrefixPath(b"/", ignore_case=True), PrefixPath(b"/", separated=True)]
    kinds = [type(run).__name__ for run in runs_of([regex, template, *texts, ConnectPath(), regex])]
    assert kinds == ["RegexRun", "TextRun", "Run", "RegexRun"]


def test_runs_that_alternate_are_merged() -> None:
    pairs = [(RegexPath(RegexMatcher(f"/{number}?")), ExactPath(b"/%d" % number)) for number in range(MOST_RUNS)]
    (run,) = runs_of([path for pair in pairs for path in pair])
    assert list(run.find(b"/2")) == [4, 5]
    assert list(run.find(b"/")) == [0, 2, 4, 6]


# Together more than RE2's memory for an automaton; each alone is within it.
LARGE = [f"/{number}(?:{'a{1000}' * 9})?" for number in range(30)]


def test_an_automaton_too_large_says_nothing_and_each_regex_is_asked() -> None:
    assert RegexSet(LARGE).find(b"/7") is None
    paths = [RegexPath(RegexMatcher(pattern)) for pattern in LARGE]
    (run,) = runs_of(paths)
    assert (list(run.find(b"/7")), list(run.find(b"/x"))) == ([7], [])


@pytest.mark.parametrize("path", [PrefixPath(b"/"), RegexPath(RegexMatcher("/.*")), ExactPath(b"/p"), None])
@pytest.mark.parametrize("others", [0, INDEXED_FROM])
def test_the_first_in_order_whose_other_matchers_fit_wins(path: PathMatcher | None, others: int) -> None:
    never = [Route("never", RegexPath(RegexMatcher("/never")), DirectResponseAction(404)) for _ in range(others)]
    wanting = Route("wanting", path, DirectResponseAction(200), headers=[HeaderMatcher(b"x-a")])
    routes = [*never, wanting, Route("first", path, DirectResponseAction(200)), Route("late", path, wanting.action)]
    host = VirtualHost("all", [b"*"], routes)
    for fields, name in (([(b"x-a", b"1")], "wanting"), ([], "first")):
        found = host.route(RequestHeaders(b"GET", b"/p?q#f", b"a.com", b"http", fields))
        assert found is not None
        assert found.name == name
    assert (host.route(RequestHeaders(b"GET", b"*", b"a.com", b"http", [])) is None) == (path is not None)
    assert host.route(RequestHeaders(b"CONNECT", b"", b"a.com", b"http", [])) is None
