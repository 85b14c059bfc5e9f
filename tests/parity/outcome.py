"""What one half did in a case, and how two such outcomes differ, as lines for people. It must not run anything.

A line is a line of the response only one has, a field of the access log, a stat:
``counter http2.tx_reset: 0 -> 1`` (the real Envoy's first).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from tests.parity.configuration import LOG_SEPARATOR
from tests.parity.measured import Tally, stats_differences

SHOWN = 300

Outcome = dict[str, Any]
"""``response``, ``end`` of the client; ``upstream``, ``log``; ``open``: gauges before the client closes; ``stats``."""


def differences_of(real: Outcome, ours: Outcome, tally: Tally | None = None) -> Iterator[str]:
    """Where two outcomes are not the same; equal stats are added to the tally."""
    yield from _text_differences("response", real["response"].split("\n"), ours["response"].split("\n"))
    if real["end"] != ours["end"]:
        yield f"end: {real['end']} -> {ours['end']}"
    for number, (sent, got) in enumerate(zip_longest(real["upstream"], ours["upstream"], fillvalue="")):
        name = "upstream" if not number else f"upstream {number + 1}"
        yield from _text_differences(name, sent.split("\n"), got.split("\n"))
    for line, other in zip_longest(real["log"], ours["log"], fillvalue=""):
        yield from _log_differences(line, other)
    yield from stats_differences(real, ours, tally)


def _text_differences(aspect: str, real: Sequence[str], ours: Sequence[str]) -> Iterator[str]:
    # Its first two lines are a heading.
    for line in list(difflib.unified_diff(real, ours, n=0, lineterm=""))[2:]:
        if not line.startswith("@@"):
            yield f"{aspect} {line[:SHOWN]}"


def _log_differences(real: str, ours: str) -> Iterator[str]:
    if not real or not ours:
        if real != ours:
            yield f"log {'-' if real else '+'}{real or ours}"
        return
    for one, two in zip(real.split(LOG_SEPARATOR), ours.split(LOG_SEPARATOR), strict=True):
        if one != two:
            name, _, value = one.partition("=")
            yield f"log {name}: {value} -> {two.partition('=')[2]}"
