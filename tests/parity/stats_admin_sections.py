"""The sections of docs/parity.md beside the cases: the stats of the sandbox's configurations, and the admin API.

    text, problems = sections(oracle, folder)

`folder` is there and empty. It must not write the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.parity.admin_cases import INTENDED, compare_all
from tests.parity.stats_compare import Difference, compare_stats
from tests.parity.stats_mesh import TIERS
from tests.parity.stats_report import section, unlisted
from tests.parity.stats_run import run_both

_ADMIN = """\
## Admin API, endpoint by endpoint

{count} requests that read, each to both: status, headers in order, body; what is the process's own (version, uptime,
memory, ports, times, built-in extensions, loggers) is masked by name. {same} answers are the same. What changes
something (drains, health checks, levels, runtime, counters, the profiler) is compared in `tests/parity/test_admin.py`.
"""


def sections(oracle: Path, folder: Path) -> tuple[str, list[str]]:
    """The text, and what differs without being on a list."""
    for each in ("stats", "admin"):
        (folder / each).mkdir()
    (real, _), (ours, _) = run_both(oracle, folder / "stats")
    stats = {tier: compare_stats(real[tier], ours[tier]) for tier in TIERS}
    admin = compare_all(oracle, folder / "admin")
    return f"{section(stats)}\n\n{_admin_section(admin)}", [*_stats_problems(stats), *_admin_problems(admin)]


def _stats_problems(stats: Mapping[str, Difference]) -> list[str]:
    problems = []
    for tier, found in stats.items():
        problems += [f"stats of {tier}: {name} is missing" for name in unlisted(found.missing, "name")]
        problems += [f"stats of {tier}: {name} is not Envoy's" for name in found.extra]
        problems += [f"stats of {tier}: {name} is {found.values[name]}" for name in unlisted([*found.values], "value")]
    return problems


def _admin_problems(admin: Mapping[str, str]) -> list[str]:
    return [f"admin: {line}: {text.splitlines()[0]}" for line, text in admin.items() if text and line not in INTENDED]


def _admin_section(admin: Mapping[str, str]) -> str:
    same = sum(not text for text in admin.values())
    rows = [f"- `{line}`: {INTENDED.get(line, 'not intended.')}" for line, text in admin.items() if text]
    return "\n".join([_ADMIN.format(count=len(admin), same=same), *rows])
