"""How answers of hosts that say who they are (`setup.hosts`) are shown: what chance decides is taken out.

It must not hide how often or in which order hosts answered.
"""

from __future__ import annotations

import re
from collections import Counter

from tests.integration.outcomes import shown

_HOST = re.compile(rb"x-host: ([\w-]+-)(\d+)")


def in_turn(received: bytes) -> str:
    """Hosts by the order in which they first answered: round robin begins anywhere."""
    order: dict[bytes, bytes] = {}
    for _, number in _HOST.findall(received):
        order.setdefault(number, b"ABCDEFGH"[len(order) : len(order) + 1])
    named = received
    for number, letter in order.items():
        named = re.sub(rb"(x-host: [\w-]+-)%s\b" % number, rb"\g<1>" + letter, named)
        named = re.sub(rb"(?m)^([\w]+-)%s(?=HTTP|$)" % number, rb"\g<1>" + letter, named)
    return shown(named)


def shares(received: bytes) -> str:
    """How many answers came from how many hosts, the most first, and how often each status."""
    hosts = Counter(number for _, number in _HOST.findall(received))
    statuses = Counter(re.findall(rb"HTTP/1.1 (\d+)", received))
    return f"answers of hosts: {sorted(hosts.values(), reverse=True)}; statuses: {sorted(statuses.items())}"


def statuses(received: bytes) -> str:
    """Only the statuses, in order: which host it was is chance."""
    return b" ".join(re.findall(rb"HTTP/1.1 (\d+)", received)).decode()


def hosts_in_order(received: bytes) -> str:
    """Which host gave each answer, where that follows from a hash or there is one that can; and the statuses."""
    hosts = b" ".join(number for _, number in _HOST.findall(received)).decode()
    return f"hosts {hosts}; statuses {statuses(received)}"


def hosts_seen(received: bytes) -> str:
    """Which hosts answered at all, where chance decides how often; and how often each status."""
    hosts = sorted({int(number) for _, number in _HOST.findall(received)})
    counted = Counter(re.findall(rb"HTTP/1.1 (\d+)", received))
    return f"hosts {hosts}; statuses: {sorted(counted.items())}"


def percents(received: bytes) -> str:
    """Each host's share of the answers in steps of 5%: hosts that are due at once may change places now and then."""
    counts = Counter(number.decode() for _, number in _HOST.findall(received))
    total = sum(counts.values())
    found = {host: round(20 * count / total) * 5 for host, count in sorted(counts.items())}
    return f"percent by host: {found}; statuses: {sorted(Counter(statuses(received).split()).items())}"
