"""Tag extraction: what is cut out of a stat's name to become its tags.

`cluster.service1.upstream_rq_200` is the name `cluster.upstream_rq` with the tags `envoy.response_code=200` and
`envoy.cluster_name=service1`. The rules do what Envoy's well-known tag rules do, in their order, which is the order of
the labels that Prometheus sees. It must not know the store; nothing here runs for a request.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TagRule:
    """One rule: `pattern`'s first group is cut from the name, its second (else the first) is the value.

    `only_if` must be in the name for the pattern to be tried: a cheap test before the regular expression.
    """

    tag: str
    pattern: re.Pattern[str]
    only_if: str = ""


def _rule(tag: str, pattern: str, only_if: str = "") -> TagRule:
    return TagRule(f"envoy.{tag}", re.compile(pattern), only_if)


def _tokens(tag: str, shape: str) -> TagRule:
    """A rule by dotted words: `*` is any word, `$` the tag's value (cut with its dot), `**` any rest."""
    words = {"*": r"[^.]+\.", "$": r"(([^.]+)\.)", "**": ".+"}
    pattern = "".join(words.get(word, re.escape(word) + r"\.") for word in shape.split("."))
    plain = [word for word in shape.split(".") if word not in words]
    return _rule(tag, f"^{pattern}", f"{plain[-1]}.")


_ADDRESS = r"(?:\d{1,3}\.){3}\d{1,3}_\d+|\[[\da-fA-F_.]*\]_\d+"


@cache
def default_rules() -> tuple[TagRule, ...]:
    """Envoy's default rules for what this proxy counts, in the order in which tags are shown."""
    return (
        _rule("response_code", r"_rq(_(\d{3}))$", "_rq_"),
        _rule("response_code_class", r"_rq_((\d))xx$", "_rq_"),
        _rule("grpc_bridge_method", r"^cluster\.[^.]+\.grpc\.[^.]+\.(([^.]+)\.)", ".grpc."),
        _tokens("http_user_agent", "http.*.user_agent.$.**"),
        _tokens("virtual_cluster", "vhost.*.vcluster.$.**"),
        _tokens("fault_downstream_cluster", "http.*.fault.$.**"),
        _rule("ssl_cipher", r"^(?:listener|cluster)\..*?\.ssl\.ciphers(\.([^.]+))$", ".ssl.ciphers."),
        _rule("ssl_curve", r"^(?:listener|cluster)\..*?\.ssl\.curves(\.([^.]+))$", ".ssl.curves."),
        _rule("ssl_sigalg", r"^(?:listener|cluster)\..*?\.ssl\.sigalgs(\.([^.]+))$", ".ssl.sigalgs."),
        _rule("ssl_version", r"^(?:listener|cluster)\..*?\.ssl\.versions(\.([\w.]+))$", ".ssl.versions."),
        _rule("tls_certificate", r"^(?:listener|cluster)\..*?\.ssl\.certificate(\.([^.]+))\.", ".ssl.certificate."),
        _tokens("grpc_bridge_service", "cluster.*.grpc.$.**"),
        _tokens("tcp_prefix", "tcp.$.**"),
        _tokens("udp_prefix", "udp.$.**"),
        _tokens("ratelimit_prefix", "ratelimit.$.**"),
        _rule("local_http_ratelimit_prefix", r"^(([^.]+)\.)http_local_rate_limit\.", ".http_local_rate_limit."),
        _tokens("local_network_ratelimit_prefix", "local_rate_limit.$.**"),
        _tokens("cluster_name", "cluster.$.**"),
        _rule("http_conn_manager_prefix", r"^listener\..*?\.http\.(([^.]+)\.)", ".http."),
        _tokens("http_conn_manager_prefix", "http.$.**"),
        _rule("worker_id", r"(?:^|\.)worker(_(\d+))\.", "worker_"),
        _rule("listener_address", rf"^listener\.(({_ADDRESS}|(?!admin\.)[^.]+)\.)", "listener."),
        _tokens("virtual_host", "vhost.$.**"),
        _tokens("route", "vhost.*.route.$.**"),
        _tokens("scoped_rds_config", "http.*.scoped_rds.$.**"),
    )


def extract(name: str, rules: Iterable[TagRule]) -> tuple[str, Tags]:
    """The name with every tag cut out, and the tags. The first rule of a tag that matches wins."""
    tags: list[tuple[str, str]] = []
    cuts: list[tuple[int, int]] = []
    for rule in rules:
        if rule.only_if not in name or (tags and any(tag == rule.tag for tag, _ in tags)):
            continue
        match = rule.pattern.search(name)
        if match is not None:
            tags.append((rule.tag, match.group(min(2, rule.pattern.groups))))
            cuts.append(match.span(1))
    for start, end in sorted(cuts, reverse=True):
        name = name[:start] + name[end:]
    return name, tuple(tags)
