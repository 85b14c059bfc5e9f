"""Every case of the comparison, and their areas in the order of the report."""

from __future__ import annotations

from tests.parity.case import Case
from tests.parity.cases import admin, filters, http1, http2, logs, mutations, pipes, tls

CASES: list[Case] = [
    *http1.CASES,
    *http2.CASES,
    *tls.CASES,
    *logs.CASES,
    *mutations.CASES,
    *filters.CASES,
    *pipes.CASES,
    *admin.CASES,
]
AREAS: list[str] = list(dict.fromkeys(case.area for case in CASES))
