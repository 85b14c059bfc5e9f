"""`envoymesh check`: what the proxy refuses, then every rule; the output and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

from envoymesh.config.load import load_bootstrap
from envoymesh.errors import ConfigError
from envoymesh.lint import resources, routes
from envoymesh.lint.finding import ERROR, INVALID, WARNING, Finding, Rule, without_silenced
from envoymesh.lint.report import FORMATS

RULES: Final[dict[str, Rule]] = {
    "route-shadowed": routes.shadowed,
    "domain-unreachable": routes.unreachable_domains,
    "virtual-host-empty": routes.empty_hosts,
    "prefix-takes-more": routes.greedy_prefixes,
    "weights": routes.weights,
    "retry-timeout": routes.retries_in_time,
    "stream-timeout": routes.stream_timeouts,
    "cluster-unused": resources.unused_clusters,
    "dns-on-address": resources.names_that_are_addresses,
    "admin-open": resources.open_admin,
    "tls-version": resources.old_tls,
    "tls-unverified": resources.unverified_upstreams,
    "deprecated": resources.deprecated,
}
"""Every rule by its name; the first sentence of its docstring describes it."""

CLEAN: Final = 0
REFUSED: Final = 1
DOUBTFUL: Final = 2


def descriptions() -> dict[str, str]:
    """What each rule looks for."""
    found = {name: (rule.__doc__ or "").partition(": ")[2].splitlines()[0] for name, rule in RULES.items()}
    tests = {"route-test": "a route test expects something else", "route-coverage": "too little is tested"}
    return {INVALID: "the proxy refuses this configuration", **found, **tests}


def check(path: str, refusals: Callable[[str], Sequence[ConfigError]]) -> list[Finding]:
    """Everything to say about a file.

    Args:
        refusals: what the proxy says of it when it is loaded.
    """
    found = [_refusal(error) for error in refusals(path)]
    try:
        loaded = load_bootstrap(path, allow_unknown_static_fields=True)
    except ConfigError:
        return without_silenced(found)  # no bootstrap at all: `refusals` says so already
    for rule in RULES.values():
        found.extend(rule(loaded.reader()))
    return without_silenced(found)


def _refusal(error: ConfigError) -> Finding:
    return Finding(INVALID, ERROR, error.message, error.path, error.source, error.line)


def run(
    path: str,
    output: str,
    refusals: Callable[[str], Sequence[ConfigError]],
    route_tests: Callable[[], tuple[list[Finding], str]] | None = None,
) -> int:
    """Check and print: 0 where there is nothing to say, 1 for errors, 2 for doubts alone.

    Args:
        route_tests: runs them: what is wrong, and a summary; None where there are none.
    """
    findings, summary = check(path, refusals), ""
    if route_tests is not None:
        failed, summary = route_tests()
        # What the proxy refuses has been said.
        findings += [each for each in failed if not any(each.message == known.message for known in findings)]
    sys.stdout.write(FORMATS[output](findings, descriptions()))
    if output == "text":
        sys.stdout.write(summary)
    if any(each.severity == ERROR for each in findings):
        return REFUSED
    return DOUBTFUL if any(each.severity == WARNING for each in findings) else CLEAN
