"""Rules about routes and virtual hosts: what can never match, what takes more than was meant, times that do not fit.

A route is said to be shadowed only where that is certain; what only might be is not mentioned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from envoymesh.config.reader import Reader
from envoymesh.lint.finding import Finding, finding
from envoymesh.lint.tree import HTTP_CONNECTION_MANAGER, ROUTE_CONFIGURATION, has, of_type, routes_of

_PATHS: Final = ("prefix", "path", "safe_regex", "path_separated_prefix", "connect_matcher", "path_match_policy")
_DEFAULT_TIMEOUT: Final = 15.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a route asks for, comparable: `path` is (kind, text), the others what must hold besides."""

    path: tuple[str, str]
    ignore_case: bool
    others: frozenset[tuple[str, bytes]]

    @classmethod
    def of(cls, match: Reader) -> Conditions:
        """The conditions of an envoy.config.route.v3.RouteMatch."""
        kind = match.which("path_specifier") or ""
        value: Any = getattr(match.message, kind) if kind else ""
        text = value if isinstance(value, str) else value.regex if kind == "safe_regex" else str(value)
        ignore_case = has(match, "case_sensitive") and not match.boolean("case_sensitive", True)
        others = frozenset(_others(match))
        return cls((kind, text.lower() if ignore_case else text), ignore_case, others)

    def covers(self, later: Conditions) -> bool:
        """Whether whatever fits `later` fits these, too."""
        return self.others <= later.others and self._covers_path(later)

    def _covers_path(self, later: Conditions) -> bool:
        if later.ignore_case and not self.ignore_case:
            return self.path == ("prefix", "/")
        (kind, text), (other, path) = self.path, later.path
        path = path.lower() if self.ignore_case else path
        if kind == "prefix" and text == "/":
            return other not in ("connect_matcher", "")
        if kind == "prefix":
            return other in ("prefix", "path", "path_separated_prefix") and path.startswith(text)
        if kind == "path_separated_prefix":
            return other in ("path", "path_separated_prefix") and (path == text or path.startswith(text + "/"))
        return (kind, text) == (other, path)


def _others(match: Reader) -> Iterator[tuple[str, bytes]]:
    for descriptor, value in match.message.ListFields():
        if descriptor.name in (*_PATHS, "case_sensitive"):
            continue
        values = value if descriptor.is_repeated else [value]
        for each in values:
            content = each.SerializeToString(deterministic=True) if hasattr(each, "SerializeToString") else repr(each)
            yield descriptor.name, content if isinstance(content, bytes) else content.encode()


def virtual_hosts(root: Reader) -> Iterator[Reader]:
    """Every virtual host of every route configuration."""
    for configuration in of_type(root, ROUTE_CONFIGURATION):
        yield from configuration.repeated("virtual_hosts")


def routes(root: Reader) -> Iterator[Reader]:
    """Every route."""
    for host in virtual_hosts(root):
        yield from routes_of(host)


def shadowed(root: Reader) -> Iterator[Finding]:
    """`route-shadowed`: an earlier route takes all that a later one could."""
    for host in virtual_hosts(root):
        earlier: list[tuple[Reader, Conditions]] = []
        for route in routes_of(host):
            match = route.message_("match")
            if match is None:
                continue
            conditions = Conditions.of(match)
            taker = next((each for each, taken in earlier if taken.covers(conditions)), None)
            if taker is not None:
                yield finding("route-shadowed", route, f"can never match: {_named(taker)} takes all of it")
            earlier.append((route, conditions))


def _named(route: Reader) -> str:
    line = route.error("", "").line
    where = route.path if line is None else f"the route at line {line}"
    return f"{where} ({route.string('name')})" if route.string("name") else where


def unreachable_domains(root: Reader) -> Iterator[Finding]:
    """`domain-unreachable`: a domain with a port where ports are taken off the Host header before it is compared."""
    for manager in of_type(root, HTTP_CONNECTION_MANAGER):
        strips = has(manager, "strip_any_host_port") and manager.boolean("strip_any_host_port")
        configuration = manager.message_("route_config")
        if configuration is None:
            continue
        if strips or configuration.boolean("ignore_port_in_host_matching"):
            for host in configuration.repeated("virtual_hosts"):
                for index, domain in enumerate(host.strings("domains")):
                    if domain.rpartition(":")[2].isdigit() and ":" in domain:
                        text = f"no request reaches '{domain}': ports are taken off before domains are compared"
                        yield finding("domain-unreachable", host, text, f"domains[{index}]")


def empty_hosts(root: Reader) -> Iterator[Finding]:
    """`virtual-host-empty`: a virtual host without routes answers 404 to everything."""
    for host in virtual_hosts(root):
        if not routes_of(host) and not has(host, "matcher"):
            yield finding("virtual-host-empty", host, "has no routes: every request to its domains gets 404 NR")


def greedy_prefixes(root: Reader) -> Iterator[Finding]:
    """`prefix-takes-more`: the prefix `/api` takes `/apis`, too."""
    for route in routes(root):
        match = route.message_("match")
        prefix = "" if match is None else match.string("prefix")
        if match is not None and len(prefix) > 1 and prefix[-1].isalnum():
            other = prefix + ("0" if prefix[-1].isdigit() else "s")
            text = f"the prefix '{prefix}' takes '{other}' too; path_separated_prefix takes only what is below it"
            yield finding("prefix-takes-more", match, text, "prefix")


def weights(root: Reader) -> Iterator[Finding]:
    """`weights`: weighted clusters whose weights do not add up, or never send anything."""
    for route in routes(root):
        action = route.message_("route")
        weighted = None if action is None else action.message_("weighted_clusters")
        if weighted is None:
            continue
        entries = weighted.repeated("clusters")
        total = sum(each.integer("weight") for each in entries)
        declared = weighted.integer("total_weight") if has(weighted, "total_weight") else total
        if declared != total:
            yield finding(
                "weights", weighted, f"the weights add up to {total}, and total_weight is {declared}", "total_weight"
            )
        for each in entries:
            if not each.integer("weight") and not weighted.string("runtime_key_prefix"):
                yield finding("weights", each, f"the cluster '{each.string('name')}' has the weight 0 and gets nothing")


def retries_in_time(root: Reader) -> Iterator[Finding]:
    """`retry-timeout`: the route's timeout ends before its retries could."""
    for route in routes(root):
        action = route.message_("route")
        policy = None if action is None else action.message_("retry_policy")
        if action is None or policy is None:
            continue
        timeout = action.duration("timeout", _DEFAULT_TIMEOUT) or 0.0
        tries = policy.integer("num_retries", 1) + 1
        each = policy.duration("per_try_timeout", 0.0) or 0.0
        if timeout and each and each * tries > timeout:
            text = f"{tries} tries of {each:g} s do not fit into the route's timeout of {timeout:g} s"
            yield finding("retry-timeout", policy, text, "per_try_timeout")
        elif timeout and not each and tries > 1 and "5xx" in policy.string("retry_on"):
            text = f"without per_try_timeout a try that hangs takes the whole timeout of {timeout:g} s"
            yield finding("retry-timeout", policy, text)


def stream_timeouts(root: Reader) -> Iterator[Finding]:
    """`stream-timeout`: gRPC and upgrades on a route with the timeout meant for short requests."""
    for route in routes(root):
        action, match = route.message_("route"), route.message_("match")
        if action is None or match is None or action.has("timeout") or has(action, "max_stream_duration"):
            continue
        if match.has("grpc") or (has(action, "upgrade_configs") and not match.has("connect_matcher")):
            text = "streams on this route end after 15 s, the default; set timeout: 0s and an idle_timeout"
            yield finding("stream-timeout", action, text)
