"""Which filter chain a connection gets: Envoy's FilterChainMatch, as a pure function.

The criteria are applied one after the other, in Envoy's order; after each only the chains with its most specific match
remain, and there is no way back: a chain that falls out for a better match of one criterion is out, even if the others
then fail at a later criterion. This module must not know listeners or TLS.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from envoymesh.network.api import Address
from envoymesh.network.settings import FilterChainMatch, FilterChainSettings, Network


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What is known of a connection when its chain is chosen.

    Args:
        transport_protocol: raw_buffer or tls.
        direct: the peer's address, where a listener filter has restored another `remote`.
    """

    local: Address
    remote: Address
    server_name: str = ""
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()
    direct: Address | None = None


Rank = int | None
"""How specific a match is, the higher the better; None for no match."""

ANYTHING = 0
"""The rank of a criterion that is not set."""


def find_filter_chain(
    chains: Sequence[FilterChainSettings], default: FilterChainSettings | None, facts: ConnectionFacts
) -> FilterChainSettings | None:
    """Choose the chain of a connection; `default` (default_filter_chain) when none matches, None without that."""
    candidates = list(chains)
    for criterion in _CRITERIA:
        ranked = [(rank, chain) for chain in candidates if (rank := criterion(chain.match, facts)) is not None]
        if not ranked:
            return default
        best = max(rank for rank, _ in ranked)
        candidates = [chain for rank, chain in ranked if rank == best]
    return candidates[0]


def _destination_port(match: FilterChainMatch, facts: ConnectionFacts) -> Rank:
    if match.destination_port is None:
        return ANYTHING
    return 1 if match.destination_port == facts.local.port else None


def _server_name(match: FilterChainMatch, facts: ConnectionFacts) -> Rank:
    if not match.server_names:
        return ANYTHING
    name = facts.server_name
    best: Rank = None
    for pattern in match.server_names:
        if pattern == name and name:
            return len(pattern) + 1000
        # `*.example.com` matches any number of labels in front, but not example.com itself.
        if pattern.startswith("*.") and name.endswith(pattern[1:]) and len(name) > len(pattern) - 1:
            best = max(best or 0, len(pattern))
    return best


def _transport_protocol(match: FilterChainMatch, facts: ConnectionFacts) -> Rank:
    if not match.transport_protocol:
        return ANYTHING
    return 1 if match.transport_protocol == facts.transport_protocol else None


def _application_protocols(match: FilterChainMatch, facts: ConnectionFacts) -> Rank:
    if not match.application_protocols:
        return ANYTHING
    offered = facts.application_protocols
    for position, protocol in enumerate(offered):
        if protocol in match.application_protocols:
            return len(offered) - position
    return None


def _source_type(match: FilterChainMatch, facts: ConnectionFacts) -> Rank:
    if match.source_type == "ANY":
        return ANYTHING
    local = is_same_ip_or_loopback(facts)
    return 1 if local == (match.source_type == "SAME_IP_OR_LOOPBACK") else None


def _source_port(match: FilterChainMatch, facts: ConnectionFacts) -> Rank:
    if not match.source_ports:
        return ANYTHING
    return 1 if facts.remote.port in match.source_ports else None


def is_same_ip_or_loopback(facts: ConnectionFacts) -> bool:
    """Whether the peer is this machine: the same IP on both ends, a loopback address, or a Unix domain socket."""
    remote = facts.remote
    return not remote.ip or remote.host == facts.local.host or _ip(remote.ip).is_loopback


_NO_IP = "255.255.255.255"
"""What a Unix domain socket is matched as; as in Envoy, only ranges that take everything have it."""


def _prefix_rank(ranges: tuple[Network, ...], ip: str) -> Rank:
    if not ranges:
        return ANYTHING
    address = _ip(ip or _NO_IP)
    lengths = [length for prefix, length in ranges if address in _network(prefix, length)]
    # A set range is more specific than none, also 0.0.0.0/0.
    return max(lengths) + 1 if lengths else None


_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=1024)
def _ip(host: str) -> _Ip:
    return ipaddress.ip_address(host)


@lru_cache(maxsize=1024)
def _network(prefix: str, length: int) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network((prefix, length), strict=False)


_CRITERIA: tuple[Callable[[FilterChainMatch, ConnectionFacts], Rank], ...] = (
    _destination_port,
    lambda match, facts: _prefix_rank(match.prefix_ranges, facts.local.ip),
    _server_name,
    _transport_protocol,
    _application_protocols,
    lambda match, facts: _prefix_rank(match.direct_source_prefix_ranges, (facts.direct or facts.remote).ip),
    _source_type,
    lambda match, facts: _prefix_rank(match.source_prefix_ranges, facts.remote.ip),
    _source_port,
)

_FIELDS = (
    "destination_port",
    "prefix_ranges",
    "server_names",
    "transport_protocol",
    "application_protocols",
    "direct_source_prefix_ranges",
    "source_type",
    "source_prefix_ranges",
    "source_ports",
)
"""The field of FilterChainMatch that each of `_CRITERIA` looks at."""


@dataclass(frozen=True, slots=True)
class ChainMismatch:
    """For people: why a connection does not get a filter chain.

    Attributes:
        field: of FilterChainMatch.
        beaten: the chain matches, but another one matches more exactly.
    """

    chain: FilterChainSettings
    field: str
    beaten: bool = False


def chain_mismatches(chains: Sequence[FilterChainSettings], facts: ConnectionFacts) -> list[ChainMismatch]:
    """Why each chain that `find_filter_chain` does not choose is out, in the order in which they fall out."""
    candidates, out = list(chains), []
    for field, criterion in zip(_FIELDS, _CRITERIA, strict=True):
        ranks = [(criterion(chain.match, facts), chain) for chain in candidates]
        out += [ChainMismatch(chain, field) for rank, chain in ranks if rank is None]
        known = [(rank, chain) for rank, chain in ranks if rank is not None]
        best = max((rank for rank, _ in known), default=0)
        out += [ChainMismatch(chain, field, beaten=True) for rank, chain in known if rank < best]
        candidates = [chain for rank, chain in known if rank == best]
    return out
