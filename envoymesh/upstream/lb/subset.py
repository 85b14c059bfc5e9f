"""Subsets: hosts by what their metadata says (``envoy.lb``), each subset with a balancer of its own (Envoy's
`SubsetLoadBalancer`, `lb_subset_config`).

Subsets are found by a request's criteria as a whole, in one look-up. They are made of all hosts whenever those change,
as an update may bring other metadata. This module must not know which policy the subsets have.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mypy_extensions import trait

from envoymesh.metadata import MatchCriteria, MatchValue, Metadata, found, match_value, merged_criteria
from envoymesh.stats import Gauge
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import HostSet, PrioritySet, PrioritySetObserver
from envoymesh.upstream.lb.api import LbParams, LoadBalancer
from envoymesh.upstream.lb.settings import SubsetSelectorSettings, SubsetSettings

FALLBACK_LIST: Final = "fallback_list"
"""The name of the criterion that lists metadata to try in turn."""

MakeBalancer = Callable[[PrioritySet], LoadBalancer]


@trait
class Subset:
    """Some of the hosts, of all priorities."""

    __slots__ = ()

    @abstractmethod
    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """A host of the subset."""

    @abstractmethod
    def update(self, priority: int, hosts: list[Host]) -> None:
        """These are its hosts of one priority now."""

    @abstractmethod
    def is_active(self) -> bool:
        """Whether it has any host, healthy or not."""

    @abstractmethod
    def set_panic_threshold(self, percent: int) -> None:
        """The runtime has another panic threshold."""

    @abstractmethod
    def stop(self) -> None:
        """It is not used any more."""


class PrioritySubset(Subset):
    """A subset whose hosts are picked by the policy.

    Args:
        original: the hosts of the cluster.
    """

    __slots__ = ("_balancer", "_original", "_priority_set", "_settings")

    def __init__(self, original: PrioritySet, settings: SubsetSettings, make_balancer: MakeBalancer) -> None:
        self._original = original
        self._settings = settings
        self._priority_set: PrioritySet = PrioritySet(original.local_locality)
        self._balancer: LoadBalancer = make_balancer(self._priority_set)

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The policy's pick."""
        return self._balancer.choose_host(context)

    def is_active(self) -> bool:
        """Whether it has any host."""
        return len(self._priority_set.hosts()) > 0

    def set_panic_threshold(self, percent: int) -> None:
        """The policy's."""
        self._balancer.set_panic_threshold(percent)

    def stop(self) -> None:
        """Let the balancer go."""
        self._balancer.stop()

    def update(self, priority: int, hosts: list[Host]) -> None:
        """Take the hosts of a priority, with the localities and factors of the cluster's."""
        original = self._original.host_sets[priority]
        wanted = set(hosts)
        self._priority_set.update_part(priority, original, wanted, self._locality_weights(original, wanted))

    def _locality_weights(self, original: HostSet, wanted: set[Host]) -> tuple[int, ...]:
        """The weights of localities; scaled, where that is wanted, by the share of their hosts that is in here."""
        if not self._settings.locality_weight_aware:
            return ()
        if not self._settings.scale_locality_weight:
            return original.locality_weights
        scaled: list[int] = []
        for bucket, weight in zip(original.hosts_per_locality.buckets, original.locality_weights, strict=True):
            kept = len([host for host in bucket if host in wanted])
            # Halves away from zero, as in C++.
            scaled.append(int(weight * kept / len(bucket) + 0.5) if bucket else 0)
        return tuple(scaled)


class SingleHostSubset(Subset):
    """A subset that is one host (`single_host_per_subset`): its health is not asked for."""

    __slots__ = ("_chosen", "_hosts")

    def __init__(self) -> None:
        self._hosts: dict[int, Host] = {}
        self._chosen: Host | None = None

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host."""
        return self._chosen

    def is_active(self) -> bool:
        """Whether there is one."""
        return self._chosen is not None

    def set_panic_threshold(self, percent: int) -> None:
        """Nothing: one host has no panic."""

    def stop(self) -> None:
        """There is nothing to let go."""

    def update(self, priority: int, hosts: list[Host]) -> None:
        """Take the host of a priority; that of the first priority counts."""
        if hosts:
            self._hosts[priority] = hosts[0]
        else:
            self._hosts.pop(priority, None)
        self._chosen = self._hosts[min(self._hosts)] if self._hosts else None


class SubsetLoadBalancer(LoadBalancer, PrioritySetObserver):
    """Picks from the subset of the request's criteria, or as the fallback policies say."""

    __slots__ = (
        "_any",
        "_default",
        "_duplicates",
        "_fallback",
        "_make_balancer",
        "_panic",
        "_priority_set",
        "_selector_fallbacks",
        "_selectors",
        "_settings",
        "_stats",
        "_subsets",
        "panic_threshold",
    )

    def __init__(self, params: LbParams, settings: SubsetSettings, make_balancer: MakeBalancer) -> None:
        self._settings = settings
        self.panic_threshold = params.panic_threshold
        self._stats = params.stats
        self._duplicates: Gauge = params.scope.gauge("lb_subsets_single_host_per_subset_duplicate")
        self._make_balancer = make_balancer
        self._priority_set: PrioritySet = params.priority_set
        self._selectors: Sequence[SubsetSelectorSettings] = _in_order(settings)
        self._subsets: dict[MatchCriteria, Subset] = {}
        self._selector_fallbacks = selector_fallbacks(self._selectors)
        wanted = {settings.fallback_policy, *[each.fallback_policy for each in self._selector_fallbacks.values()]}
        wants_any = "ANY_ENDPOINT" in wanted or settings.panic_mode_any
        self._any: Subset | None = self._new_subset() if wants_any else None
        self._default: Subset | None = self._new_subset() if "DEFAULT_SUBSET" in wanted else None
        self._fallback: Subset | None = None
        if settings.fallback_policy != "NO_FALLBACK":
            self._fallback = self._any if settings.fallback_policy == "ANY_ENDPOINT" else self._default
        self._panic: Subset | None = self._any if settings.panic_mode_any else None
        for priority in range(len(self._priority_set.host_sets)):
            self._update(priority)
        self._priority_set.add_observer(self)

    def _new_subset(self) -> Subset:
        return PrioritySubset(self._priority_set, self._settings, self._make_balancer)

    # Changes

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """Hosts came, left, or have other metadata."""
        self._update(priority)
        self._purge()

    def on_health_changed(self, priority: int) -> None:
        """Other hosts are healthy."""
        self._update(priority)
        self._purge()

    def set_panic_threshold(self, percent: int) -> None:
        """The runtime has another panic threshold."""
        self.panic_threshold = percent
        for subset in self._all_subsets():
            subset.set_panic_threshold(percent)

    def stop(self) -> None:
        """Hear of no change any more."""
        self._priority_set.remove_observer(self)
        for subset in self._all_subsets():
            subset.stop()

    def _all_subsets(self) -> list[Subset]:
        own = [subset for subset in (self._any, self._default) if subset is not None]
        return own + list(self._subsets.values())

    def _update(self, priority: int) -> None:
        hosts = self._priority_set.host_sets[priority].hosts
        if self._any is not None:
            self._any.update(priority, list(hosts))
        if self._default is not None:
            wanted = self._settings.default_subset
            as_any = self._settings.list_as_any
            self._default.update(priority, [host for host in hosts if label_match(host.metadata, wanted, as_any)])
        members, duplicates = self._sort(hosts)
        self._duplicates.set(duplicates)
        for criteria, subset in self._subsets.items():
            subset.update(priority, members.get(criteria, []))

    def _sort(self, hosts: Iterable[Host]) -> tuple[dict[MatchCriteria, list[Host]], int]:
        """The members of each subset, which is made where it is new; and how many were one too many in theirs."""
        members: dict[MatchCriteria, list[Host]] = {}
        duplicates = 0
        for host in hosts:
            for selector in self._selectors:
                for criteria in subset_criteria(host.metadata, selector.keys, self._settings.list_as_any):
                    own = members.setdefault(criteria, [])
                    single = isinstance(self._subset_of(criteria, selector), SingleHostSubset)
                    if own and single:
                        duplicates += 1
                    elif not own or own[-1] is not host:
                        own.append(host)
        return members, duplicates

    def _subset_of(self, criteria: MatchCriteria, selector: SubsetSelectorSettings) -> Subset:
        subset = self._subsets.get(criteria)
        if subset is None:
            subset = SingleHostSubset() if selector.single_host_per_subset else self._new_subset()
            self._subsets[criteria] = subset
            self._stats.lb_subsets_active.inc()
            self._stats.lb_subsets_created.inc()
        return subset

    def _purge(self) -> None:
        """Let go of subsets without hosts."""
        for criteria in [criteria for criteria, subset in self._subsets.items() if not subset.is_active()]:
            self._subsets.pop(criteria).stop()
            self._stats.lb_subsets_active.dec()
            self._stats.lb_subsets_removed.inc()

    # Picks

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """A host of the subset that the request asks for."""
        criteria = context.metadata_match_criteria() if context is not None else None
        if criteria is None or not self._settings.fallback_list:
            return self._choose(context, criteria)
        listed = next((value for name, value in criteria if name == FALLBACK_LIST), None)
        if listed is None:
            return self._choose(context, criteria)
        return self._choose_of_list(context, criteria, listed)

    def _choose_of_list(
        self, context: LoadBalancerContext | None, criteria: MatchCriteria, listed: MatchValue
    ) -> Host | None:
        """Try what the list says, one after another, each put over the request's own criteria."""
        own = tuple([each for each in criteria if each[0] != FALLBACK_LIST])
        alternatives = listed[1] if listed[0] == "list" else ()
        if not alternatives:
            return self._choose(context, own)
        for alternative in alternatives:
            more: MatchCriteria = alternative[1] if alternative[0] == "struct" else ()
            host = self._choose(context, merged_criteria(own, more))
            if host is not None:
                return host
        return None

    def _choose(self, context: LoadBalancerContext | None, criteria: MatchCriteria | None) -> Host | None:
        """One iteration: the subset of these criteria, its selector's fallback, the cluster's, and in the end panic."""
        if criteria is not None:
            if self._settings.allow_redundant_keys:
                criteria = _without_redundant_keys(criteria, self._selectors)
            subset = self._subsets.get(criteria)
            if subset is not None and subset.is_active():
                self._stats.lb_subsets_selected.inc()
                return subset.choose_host(context)
            selector = self._selector_fallbacks.get(tuple([name for name, _ in criteria]))
            if selector is not None and selector.fallback_policy != "NOT_DEFINED":
                return self._choose_by_selector(context, criteria, selector)
        return self._choose_fallback(context)

    def _choose_by_selector(
        self, context: LoadBalancerContext | None, criteria: MatchCriteria, selector: SubsetSelectorSettings
    ) -> Host | None:
        policy = selector.fallback_policy
        if policy == "KEYS_SUBSET":
            return self._choose(context, tuple([each for each in criteria if each[0] in selector.fallback_keys_subset]))
        subset: Subset | None = None
        if policy == "ANY_ENDPOINT":
            subset = self._any
        elif policy == "DEFAULT_SUBSET":
            subset = self._default
        return None if subset is None else subset.choose_host(context)

    def _choose_fallback(self, context: LoadBalancerContext | None) -> Host | None:
        if self._fallback is None:
            return None
        host = self._fallback.choose_host(context)
        if host is not None:
            self._stats.lb_subsets_fallback.inc()
        elif self._panic is not None:
            host = self._panic.choose_host(context)
            if host is not None:
                self._stats.lb_subsets_fallback_panic.inc()
        return host

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """Nobody knows the next request's criteria."""
        return None


def _in_order(settings: SubsetSettings) -> Sequence[SubsetSelectorSettings]:
    """The selectors; where criteria may have too many keys, those with the most keys come first."""
    if not settings.allow_redundant_keys:
        return settings.selectors
    return sorted(settings.selectors, key=lambda selector: -len(selector.keys))


def _without_redundant_keys(criteria: MatchCriteria, selectors: Iterable[SubsetSelectorSettings]) -> MatchCriteria:
    for selector in selectors:
        kept = tuple([each for each in criteria if each[0] in selector.keys])
        if len(kept) == len(selector.keys):
            return kept
    return criteria


def selector_fallbacks(
    selectors: Iterable[SubsetSelectorSettings],
) -> dict[tuple[str, ...], SubsetSelectorSettings]:
    """What is to be done for criteria of these keys, where there is no subset of them.

    As in Envoy the first selector of some keys counts, and none whose keys are the beginning of an earlier one's.
    """
    by_keys: dict[tuple[str, ...], SubsetSelectorSettings] = {}
    seen: set[tuple[str, ...]] = set()
    for selector in selectors:
        if selector.keys not in seen:
            by_keys[selector.keys] = selector
        for length in range(1, len(selector.keys) + 1):
            seen.add(selector.keys[:length])
    return by_keys


def subset_criteria(metadata: Metadata | None, keys: Sequence[str], list_as_any: bool) -> list[MatchCriteria]:
    """The subsets of a host for a selector's keys: none where a key is missing, several for lists (`list_as_any`)."""
    fields = found(metadata, "UPSTREAM_HOST", ("envoy.lb",))
    if not isinstance(fields, dict):
        return []
    combined: list[MatchCriteria] = [()]
    for key in keys:
        if key not in fields:
            return []
        value = match_value(fields[key])
        values: Sequence[MatchValue] = value[1] if list_as_any and value[0] == "list" else (value,)
        combined = [(*criteria, (key, each)) for criteria in combined for each in values]
    return combined


def label_match(metadata: Metadata | None, wanted: MatchCriteria, list_as_any: bool) -> bool:
    """Whether a host's metadata has all of these values (Envoy's `metadataLabelMatch`)."""
    if not wanted:
        return True
    fields = found(metadata, "UPSTREAM_HOST", ("envoy.lb",))
    if not isinstance(fields, dict):
        return False
    for key, value in wanted:
        if key not in fields:
            return False
        own = match_value(fields[key])
        if list_as_any and own[0] == "list":
            if value not in own[1]:
                return False
        elif own != value:
            return False
    return True
