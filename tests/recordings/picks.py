"""What is recorded of balancers, and the same made with ours. It must not run a proxy."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from envoymesh.network.api import Address
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.hashes import xx_hash64
from tests.support.balancing import Balanced, Context, cluster_settings

FILE = Path(__file__).with_name("balancers.json")


@dataclass
class Recording:
    """One cluster's picks.

    Args:
        picks: a letter for each request (`host_letters`); long ones repeat themselves and are written as repeats.
        seed: where turns begin; None where nothing is left to chance.
    """

    name: str
    cluster: dict[str, Any]
    picks: str
    seed: int | None = None

    @property
    def in_turns(self) -> bool:
        """Whether hosts take turns; else they follow from hashes."""
        return self.name.startswith(("round-", "least-"))

    @property
    def weights(self) -> list[int]:
        """Of those that take turns: localities, where they have weights, else hosts."""
        groups = self.cluster["load_assignment"]["endpoints"]
        if "load_balancing_weight" in groups[0]:
            return [group["load_balancing_weight"] for group in groups]
        return [endpoint["load_balancing_weight"] for group in groups for endpoint in group["lb_endpoints"]]

    def as_json(self) -> dict[str, Any]:
        """What is written."""
        runs = [(letter, len(list(group))) for letter, group in groupby(self.picks)]
        longest = len(runs) * 4 < len(self.picks)
        picks: Any = runs if longest else self.picks
        return {"name": self.name, "seed": self.seed, "cluster": self.cluster, "picks": picks}


def read_recordings() -> list[Recording]:
    """All that was recorded."""
    return [
        Recording(each["name"], each["cluster"], _text(each["picks"]), each["seed"])
        for each in json.loads(FILE.read_text())
    ]


def _text(picks: Any) -> str:
    return picks if isinstance(picks, str) else "".join(letter * count for letter, count in picks)


def host_letters(count: int) -> str:
    """What hosts are called, in their order."""
    return string.ascii_lowercase[:count]


def ours(recording: Recording, seed: int, count: int) -> str:
    """The same picks with ours."""
    settings = cluster_settings(recording.cluster)
    hosts = [Host(Address(each.host, each.port), each) for each in settings.endpoints]
    members = PrioritySet()
    members.update_hosts(0, hosts, settings.locality_weights.get(0))
    balanced = Balanced(settings.lb, members, lambda: seed / 2.0**32)
    letters = dict(zip(hosts, host_letters(len(hosts)), strict=True))
    return "".join(letters[_pick(balanced, number, recording)] for number in range(count))


def _pick(balanced: Balanced, number: int, recording: Recording) -> Host:
    context = None if recording.in_turns else Context(hash_key=xx_hash64(b"key-%d" % number))
    picked = balanced.balancer.choose_host(context)
    assert picked is not None
    return picked
