"""Every case of the comparison, and their areas in the order of the report."""

from __future__ import annotations

from tests.parity.case import Case
from tests.parity.cases import (
    actions,
    admin,
    balancing,
    breakers,
    dns,
    drain,
    filters,
    health,
    http1,
    http2,
    logs,
    matching,
    mirror,
    mutations,
    network,
    pipes,
    routing,
    tcp,
    times,
    tls,
    upgrades,
    workers,
)

CASES: list[Case] = [
    *http1.CASES,
    *http2.CASES,
    *tls.CASES,
    *logs.CASES,
    *mutations.CASES,
    *filters.CASES,
    *pipes.CASES,
    *actions.CASES,
    *matching.CASES,
    *admin.CASES,
    *routing.CASES,
    *mirror.CASES,
    *balancing.CASES,
    *health.CASES,
    *breakers.CASES,
    *dns.CASES,
    *drain.CASES,
    *workers.CASES,
    *tcp.CASES,
    *network.CASES,
    *upgrades.CASES,
    *times.CASES,
]
AREAS: list[str] = list(dict.fromkeys(case.area for case in CASES))
