"""Commands that print moments and durations: ``%START_TIME(...)%``, ``%DURATION%`` and its parts.

A pattern is compiled to pieces; what changes once a second is formatted once a second. It must not read a clock.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from envoymesh.formatter.context import FormatterContext, Operator, Value, as_latin1
from envoymesh.formatter.parse import Syntax

# Durations

_Moment = Callable[[FormatterContext], float]
"""Monotonic seconds, 0.0 where it has not happened."""

_MOMENTS: Mapping[str, _Moment] = {
    "DS_RX_BEG": lambda context: context.info.start_time,
    "DS_RX_END": lambda context: context.info.last_downstream_rx,
    "US_TX_BEG": lambda context: context.info.first_upstream_tx,
    "US_TX_END": lambda context: context.info.last_upstream_tx,
    "US_RX_BEG": lambda context: context.info.first_upstream_rx,
    "US_RX_END": lambda context: context.info.last_upstream_rx,
    "DS_TX_BEG": lambda context: context.info.first_downstream_tx,
    "DS_TX_END": lambda context: context.info.last_downstream_tx,
}
_UNKNOWN_MOMENTS = frozenset({"US_CX_BEG", "US_CX_END", "US_HS_END"})
_PRECISIONS = {"ms": 1e3, "us": 1e6, "ns": 1e9}


def _between(start: _Moment, end: _Moment, scale: float = 1e3) -> Operator:
    def show(context: FormatterContext) -> Value:
        began, ended = start(context), end(context)
        # Clocks are floats: a nanosecond more keeps 5 ms from being 4.
        return None if not began or not ended or ended < began else int((ended - began + 1e-9) * scale)

    return show


def _common_duration(argument: str) -> Operator:
    names = argument.split(":")
    if len(names) not in (2, 3):
        raise ValueError(f"Invalid common duration configuration: {argument}.")
    precision = names[2] if len(names) == 3 else "ms"
    if precision not in _PRECISIONS:
        raise ValueError(f"Invalid common duration precision: {precision}.")
    for name in names[:2]:
        if name in _UNKNOWN_MOMENTS:
            raise ValueError(f"COMMON_DURATION: {name} is not supported by envoymesh")
    # As in Envoy any other name is a moment that a filter may note; no filter here does.
    start, end = (_MOMENTS.get(name, lambda context: 0.0) for name in names[:2])
    return _between(start, end, _PRECISIONS[precision])


_begin = _MOMENTS["DS_RX_BEG"]

# Moments

_NEWLINE = re.compile(r"%[-_0^#]*[1-9]*(E|O)?n")

_Write = Callable[[float], str]


def _fraction(digits: int) -> _Write:
    scale = 10**digits
    template = f"%0{digits}d"
    return lambda seconds: template % int((seconds % 1) * scale)


def _shortest_fraction(seconds: float) -> str:
    """``%E*f``: microseconds without trailing zeros (floats hold no more), at least one digit."""
    return _fraction(6)(seconds).rstrip("0") or "0"


class _Pattern:
    """A strftime pattern with Envoy's and absl's own specifiers, in UTC or local time."""

    __slots__ = ("_local", "_pieces", "_second", "_written")

    def __init__(self, pattern: str, local: bool) -> None:
        if _NEWLINE.search(pattern):
            raise ValueError("Invalid header configuration. Format string contains newline.")
        self._local = local
        self._pieces = _pieces(pattern, local)
        self._second = -1
        self._written: list[str | _Write] = []

    def write(self, seconds: float) -> str:
        """The moment's text."""
        second = int(seconds)
        if second != self._second:
            parts = (time.localtime if self._local else time.gmtime)(second)
            self._written = [time.strftime(each, parts) if isinstance(each, str) else each for each in self._pieces]
            self._second = second
        return "".join([each if isinstance(each, str) else each(seconds) for each in self._written])


def _pieces(pattern: str, local: bool) -> list[str | _Write]:
    """Patterns for strftime, and functions for what changes within a second."""
    found: list[str | _Write] = []
    text = ""
    end = 0
    for match in re.finditer(r"%([1-9]?)([fs])|%E([0-9]|\*)([Sf])|%E\*?z|%[zZ]|%E4Y|%ET|%[^\0]|\0", pattern, re.DOTALL):
        text += pattern[end : match.start()]
        end = match.end()
        plain, write = _specifier(match, local)
        text += plain
        if write is not None:
            found += [text, write]
            text = ""
    return [*found, text + pattern[end:]]


def _specifier(match: re.Match[str], local: bool) -> tuple[str, _Write | None]:
    whole = match[0]
    if whole == "\0":
        return "", lambda seconds: "\0"  # strftime takes none
    if match[2] == "s":
        return "", lambda seconds: str(int(seconds))
    if match[2] == "f":
        return "", _fraction(int(match[1] or 9))
    if match[4]:
        return _absl_fraction(match[3], match[4])
    if whole in _ZONES:
        return (_local_zone(whole) if local else _ZONES[whole]), None
    return {"%E4Y": "%Y", "%ET": "T"}.get(whole, whole), None


_ZONES = {"%z": "+0000", "%Z": "UTC", "%Ez": "+00:00", "%E*z": "+00:00:00"}


def _local_zone(specifier: str) -> str:
    offset = time.strftime("%z")
    colons = f"{offset[:3]}:{offset[3:5]}"
    return {"%z": "%z", "%Z": "%Z", "%Ez": colons, "%E*z": f"{colons}:00"}[specifier]


def _absl_fraction(digits: str, kind: str) -> tuple[str, _Write | None]:
    """``%E3S`` is seconds with three digits of a fraction, ``%E*f`` a fraction as long as it needs."""
    write = _shortest_fraction if digits == "*" else _fraction(int(digits)) if digits != "0" else None
    if kind == "f":
        return "", write
    if write is None:
        return "%S", None
    if digits == "*":
        return "%S", lambda seconds: f".{text}" if (text := write(seconds)) != "0" else ""
    return "%S.", write


def compile_time(pattern: str, local: bool = False) -> _Write:
    """A function of seconds since the epoch; Envoy's default pattern for an empty one. Errors: ValueError."""
    default = "%Y-%m-%dT%H:%M:%E3S%z" if local else "%Y-%m-%dT%H:%M:%E3SZ"
    return _Pattern(as_latin1(pattern or default), local).write


def _system_time(moment: Callable[[FormatterContext], float], local: bool) -> Callable[[str], Operator]:
    def make(pattern: str) -> Operator:
        write = compile_time(pattern, local)
        return lambda context: write(moment(context))

    return make


def _start(context: FormatterContext) -> float:
    return context.info.start_wall_time


def _emit(context: FormatterContext) -> float:
    info = context.info
    return info.start_wall_time + (context.now - info.start_time)


DURATIONS: Mapping[str, Operator] = {
    "DURATION": _between(_begin, lambda context: context.now),
    "REQUEST_DURATION": _between(_begin, _MOMENTS["DS_RX_END"]),
    "REQUEST_TX_DURATION": _between(_begin, _MOMENTS["US_TX_END"]),
    "RESPONSE_DURATION": _between(_begin, _MOMENTS["US_RX_BEG"]),
    "RESPONSE_TX_DURATION": _between(_MOMENTS["US_RX_BEG"], _MOMENTS["DS_TX_END"]),
}

TIMES: Mapping[str, tuple[Syntax, Callable[[str], Operator]]] = {
    "COMMON_DURATION": (Syntax.REQUIRED, _common_duration),
    "START_TIME": (Syntax.OPTIONAL, _system_time(_start, local=False)),
    "START_TIME_LOCAL": (Syntax.OPTIONAL, _system_time(_start, local=True)),
    "EMIT_TIME": (Syntax.OPTIONAL, _system_time(_emit, local=False)),
    "EMIT_TIME_LOCAL": (Syntax.OPTIONAL, _system_time(_emit, local=True)),
}
