"""Compares two snapshots of stats: names, types, values, histograms' counts, Prometheus names, tags and types.

It must not know which stats there are, but for those in the list of what the clock or the machine decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.parity.stats_mesh import Snapshot

# Values that the clock, the machine or the build decides; their names and types are compared like all others.
VOLATILE = re.compile(
    r"^server\.(memory_\w+|uptime|version|days_until_first_cert_expiring|initialization_time_ms)$"
    r"|_ms$|_time$|^filesystem\."
)
NOTHING = ("0", '""', "No recorded values")
"""How ``/stats`` shows what never happened."""
_SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)\{(.*)\} (\S+)$")


@dataclass
class Difference:
    """What two snapshots do and do not share. `values` is by name: (the real one's, ours).

    Attributes:
        moved: names whose values are equal and not zero.
        zero: names whose values are both zero (or empty, or never recorded).
    """

    names: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    types: dict[str, tuple[str, str]] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    zero: list[str] = field(default_factory=list)
    values: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share of the real Envoy's names that are present, 0 to 1."""
        return 1 - len(self.missing) / self.names if self.names else 1.0


def parse(text: str) -> dict[str, str]:
    """``/stats`` as name -> value."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def _types(snapshot: Snapshot) -> dict[str, str]:
    return {name: kind for kind, text in snapshot.by_type.items() for name in parse(text)}


def compare_stats(real: Snapshot, ours: Snapshot) -> Difference:
    """``/stats``: every name with its type, every determined value."""
    theirs, mine = parse(real.text), parse(ours.text)
    their_types, my_types = _types(real), _types(ours)
    found = _names(theirs, mine)
    for name in theirs.keys() & mine.keys():
        if their_types.get(name) != my_types.get(name):
            found.types[name] = (str(their_types.get(name)), str(my_types.get(name)))
        _value(found, name, theirs[name], mine[name], histogram=their_types.get(name) == "Histograms")
    return found


def _names(theirs: Mapping[str, str], mine: Mapping[str, str]) -> Difference:
    return Difference(len(theirs), sorted(theirs.keys() - mine.keys()), sorted(mine.keys() - theirs.keys()))


def _value(found: Difference, name: str, theirs: str, mine: str, *, histogram: bool) -> None:
    if histogram:
        # Which values a histogram of times has is the clock's; whether it has any is not.
        if VOLATILE.search(name):
            theirs, mine = ("No recorded values" if "No" in text else "values" for text in (theirs, mine))
        else:
            theirs, mine = (re.sub(r"\([^,]*,", "(,", text) for text in (theirs, mine))  # not the interval
    elif VOLATILE.search(name):
        return
    found.compared.append(name)
    if theirs != mine:
        found.values[name] = (theirs, mine)
    else:
        (found.zero if theirs in NOTHING else found.moved).append(name)


def series(text: str) -> dict[str, str]:
    """``/stats/prometheus`` as ``name{labels}`` -> ``type value``."""
    found: dict[str, str] = {}
    kind = ""
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            kind = line.rpartition(" ")[2]
        elif match := _SERIES.match(line):
            found[f"{match[1]}{{{match[2]}}}"] = f"{kind} {match[3]}"
    return found


def compare_prometheus(real: Snapshot, ours: Snapshot) -> Difference:
    """``/stats/prometheus``: every series with its labels in order, and its type."""
    theirs, mine = series(real.prometheus), series(ours.prometheus)
    found = _names(theirs, mine)
    for name in theirs.keys() & mine.keys():
        kinds = theirs[name].partition(" ")[0], mine[name].partition(" ")[0]
        if kinds[0] != kinds[1]:
            found.types[name] = kinds
    return found
