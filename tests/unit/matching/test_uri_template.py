"""URI templates: what they match, and what Envoy says of those that are none."""

from __future__ import annotations

import pytest

from envoymesh.matching.uri_template import UriTemplate
from envoymesh.router.paths import TemplatePath


@pytest.mark.parametrize(
    ("template", "fits", "does_not"),
    [
        ("/", ["/"], ["/a", ""]),
        ("/a/", ["/a/"], ["/a"]),
        ("/{a}", ["/x", "/x.y=z"], ["/", "/x/y", "/x|y"]),
        ("/{a}/x/{b}", ["/1/x/2"], ["/1/y/2", "/1/x"]),
        ("/*/end", ["/1/end"], ["/1/2/end", "/end"]),
        ("/**", ["/", "/1/2"], ["/^"]),
        ("/s/*.m4s", ["/s/1.m4s"], ["/s/1/2.m4s", "/s/1m4s"]),
        ("/**.mpd", ["/1/2.mpd", "/.mpd"], ["/1.mp"]),
        ("/{a=*/b/**}", ["/x/b/c/d"], ["/x/c"]),
        ("/pre-{a}-post/z", ["/pre-x-post/z"], ["/pre--post/z", "/pre-x-post"]),
        ("/{a}b/c", ["/xb/c"], ["/x/c"]),
        ("/a.b+c$(d)", ["/a.b+c$(d)"], ["/axb+c$(d)"]),
        ("/a=b", ["/a=b"], ["/a"]),
        ("/{a=b=c}", ["/b=c"], ["/b"]),
        # As in Envoy a star within a literal repeats what is before it,
        ("/a*b", ["/ab", "/aab"], ["/a*b"]),
        # and what RE2 does not take matches nothing.
        ("/***", [], ["/", "/a", "/***"]),
    ],
)
def test_templates(template: str, fits: list[str], does_not: list[str]) -> None:
    path = TemplatePath(UriTemplate(template))
    assert [each for each in fits if not path.matches(each.encode())] == []
    assert [each for each in does_not if path.matches(each.encode())] == []


def test_variables_are_named_groups() -> None:
    template = UriTemplate("/{one}/{two=**}")
    assert template.variables == ["one", "two"]
    assert "(?P<one>" in template.regex
    assert "(?P<two>" in template.regex


def test_a_rewrite_takes_the_place_of_the_whole_path() -> None:
    assert TemplatePath(UriTemplate("/{one}")).rewritten(b"/a", b"/b") == b"/b"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("a", 'Invalid pattern: "a"'),
        ("/a b", 'Invalid pattern: "/a b"'),
        ("/a/{b", 'Unmatched variable bracket in mixed pattern: "{b"'),
        ("/a/x{b/c", 'Invalid literal: "x{b"'),
        ("/{1}", 'Invalid variable name: "1"'),
        ("/{}", 'Invalid variable name: ""'),
        ("/{a}/{a}", 'Repeated variable name: "a"'),
        ("/{a}{b}", 'Invalid suffix literal: "{b}"'),
        ("/[{id}]", 'Invalid prefix literal: "["'),
        ("/{a}/{b}/{c}/{d}/{e}/{f}", "Exceeded variable count limit (5)"),
        ("/**/*", "Glob after text glob."),
        ("/**/{a}", "Implicit variable path glob after text glob."),
        ("/{a=**}/{b=*}", "Glob after text glob."),
        ("/*a/b", "Prefix match not supported."),
        ("/*{b}", 'Invalid literal: "{b}"'),
        ("/a//b", 'Invalid literal: ""'),
        ("/a?b", 'Invalid literal: "a?b"'),
        ("/{a=}", "Empty variable match"),
        ("/{a=b/}", 'Invalid variable match: "/"'),
        ("/{a=*c}", 'Invalid variable match: "c"'),
        (
            "/{abcdefghijklmnopq}",
            'Invalid variable name length (length of "abcdefghijklmnopq" should be at least 1 and no more than 16)',
        ),
    ],
)
def test_what_is_no_template(template: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 its text is compared
        UriTemplate(template)
    assert str(caught.value) == reason
