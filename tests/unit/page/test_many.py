"""A hundred replicas: each has its turn, none is asked twice at once, and the snapshot stays small."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from envoymesh.page.collector import ASKED_AT_ONCE
from envoymesh.page.runtime import Place
from tests.unit.page.fakes import served


def test_a_hundred_replicas() -> None:
    async def test() -> None:
        async with served() as page:
            front, first = page.runtime.found
            page.runtime.found = [
                front,
                *(
                    Place(f"service1-{number}", "service1", "healthy", 2, f"127.0.1.{number}", first.admin)
                    for number in range(1, 101)
                ),
            ]
            collector = page.page
            async with page.events() as next_:
                mesh = await next_("mesh")
                while mesh["sequence"] < 11:
                    mesh = await next_("mesh")
                due = [each.place.name for each in collector._collector._due()]
                assert len(due) == 1 + ASKED_AT_ONCE
                assert mesh["totals"]["replicas"] == 100
                assert len(mesh["nodes"]) == 3
                assert len(json.dumps(mesh)) < 4000
            looks = Counter(each.looks for each in collector._collector.watches.values() if each.place.tier == 2)
            # Ten refreshes are two turns of everybody; the third may have begun.
            assert min(looks) >= 1
            assert max(looks) <= 3

    asyncio.run(test())
