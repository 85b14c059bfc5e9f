"""Requests that failed, for people: each with what its flag or details mean. It must not know a running proxy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from envoymesh.explain.why import Reason, explain
from envoymesh.http.failed_requests import FailedRequest

Json = dict[str, Any]


def reason_of(failed: FailedRequest) -> Reason | None:
    """What the first word that is known says: a flag, else the details, else the status."""
    words = [*(flag for flag in failed.flags.split(",") if flag != "-"), failed.details, str(failed.status)]
    return next((found for word in words if word and (found := explain(word)) is not None), None)


def failures_told(entries: Sequence[FailedRequest]) -> Json:
    """As data, the newest first."""
    return {"schema": 1, "failures": [_told(each) for each in reversed(entries)]}


def _told(each: FailedRequest) -> Json:
    reason = reason_of(each)
    why = None
    if reason is not None:
        why = {"word": reason.word, "what": reason.what, "causes": list(reason.causes), "look": reason.look}
    return {**each._asdict(), "time": _time(each.time), "why": why}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def failures_text(entries: Sequence[FailedRequest]) -> str:
    """For people, the newest first."""
    if not entries:
        return "no request has failed\n"
    return "\n".join(_text(each) for each in reversed(entries))


def _text(each: FailedRequest) -> str:
    head = f'[{_time(each.time)}] "{each.method} {each.authority}{each.path}" {each.status} {each.flags} {each.details}'
    tries = f" after {each.attempts} tries" if each.attempts > 1 else ""
    where = f"cluster {each.cluster}" if each.cluster else "no cluster"
    upstream = f", upstream {each.upstream}" if each.upstream else ""
    facts = f"route {each.route}, " if each.route else ""
    reason = reason_of(each)
    lines = [head, f"  {facts}{where}{upstream}{tries}, {each.duration} ms, x-request-id {each.request_id or '-'}"]
    if each.reason:
        lines.append(f"  the connection to the upstream failed: {each.reason}")
    if reason is not None:
        lines.append(f"  {reason.title}: {reason.what}")
        lines.append(f"  usual cause: {reason.causes[0]}")
    return "\n".join(lines) + "\n"
