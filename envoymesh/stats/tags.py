"""Tag extraction: what is cut out of a stat's name to become its tags.

`cluster.service1.upstream_rq_200` is the name `cluster.upstream_rq` with the tags `envoy.cluster_name=service1` and
`envoy.response_code=200`. The rules are those of Envoy's well-known names; the bootstrap's `stats_config` may add some.
It must not know the store; nothing here runs for a request.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TagRule:
    """One rule: `pattern`'s first group is cut from the name, its last group is the tag's value.

    `only_if` must be in the name for the pattern to be tried: a cheap test before the regular expression.
    """

    tag: str
    pattern: re.Pattern[str]
    only_if: str = ""


def _rule(tag: str, pattern: str, only_if: str = "") -> TagRule:
    return TagRule(f"envoy.{tag}", re.compile(pattern), only_if)


@cache
def default_rules() -> tuple[TagRule, ...]:
    """Envoy's default rules, in the order in which tags are shown."""
    return (
        _rule("response_code", r"_rq(_(\d{3}))$", "_rq_"),
        _rule("response_code_class", r"_rq_((\d))xx$", "_rq_"),
        _rule("cluster_name", r"^cluster\.(([^.]*)\.)", "cluster."),
    )


def extract(name: str, rules: Iterable[TagRule]) -> tuple[str, Tags]:
    """The name with every tag cut out, and the tags. The first rule of a tag that matches wins."""
    tags: list[tuple[str, str]] = []
    cuts: list[tuple[int, int]] = []
    seen: set[str] = set()
    for rule in rules:
        if rule.tag in seen or rule.only_if not in name:
            continue
        match = rule.pattern.search(name)
        if match is not None:
            seen.add(rule.tag)
            tags.append((rule.tag, match.group(match.lastindex or 0)))
            cuts.append(match.span(1))
    for start, end in sorted(cuts, reverse=True):
        name = name[:start] + name[end:]
    return name, tuple(tags)
