"""What the dynamic forward proxy filter would do with a request, for people."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.filters.http.dynamic_forward_proxy.filter import HostRewrite, rewritten_host
from envoymesh.filters.http.explanation import PER_ROUTE, FilterCase, Saying
from envoymesh.matching.strings import quoted
from envoymesh.router.table import ClusterAction


def explain_dynamic_forward_proxy(case: FilterCase) -> Sequence[Saying]:
    """Which host is looked up, where the route goes to a cluster that takes its hosts from the filter's cache."""
    action = None if case.route is None else case.route.action
    if not isinstance(action, ClusterAction):
        return [Saying("the request goes to no cluster, so no host is looked up")]
    rewrite = case.per_route[-1] if case.per_route else None
    sayings = []
    if isinstance(rewrite, HostRewrite):
        where = f"the header {rewrite.header.decode()}" if rewrite.header else "host_rewrite_literal"
        sayings.append(Saying(f"the route takes the host from {where}", PER_ROUTE))
    host = rewritten_host(case.headers, rewrite if isinstance(rewrite, HostRewrite) else None)
    cache = case.settings.get("dns_cache_config", {}).get("name", "")
    if not host:
        text = "the request names no host: answered here, with 400"
    else:
        text = f"if the cluster {action.cluster} takes its hosts from the cache {cache}, the request waits until "
        text += f"{quoted(host)} has addresses; without any it is answered here, with 503 and the flag DF"
    return [*sayings, Saying(text, field="dns_cache_config")]
