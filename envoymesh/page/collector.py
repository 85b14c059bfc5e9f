"""Looks at every proxy again and again while somebody has the page open, and at none else.

One collection serves all browsers. Each proxy is asked by itself, so that one that is slow holds up no other; many are
asked in turn. It must not know HTTP servers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from envoymesh.page.admin import AdminClient
from envoymesh.page.configuration import configuration_of
from envoymesh.page.errors import PageError
from envoymesh.page.figures import HISTORY, History, Latencies, Moment
from envoymesh.page.hub import Hub
from envoymesh.page.lab.faults import Faults
from envoymesh.page.notices import notices
from envoymesh.page.picture import CLIENTS, Picture
from envoymesh.page.records import Record, Records, is_check, record_of, to_send
from envoymesh.page.runtime import FRONT_TIER, MeshRuntime, Place
from envoymesh.page.watch import Watch

REFRESH = 1.0
WAIT = 0.5
"""Share of a refresh for which answers are waited for; later ones are in the next snapshot."""

ASKED_AT_ONCE = 20
"""Sidecars in one refresh; of more, each has its turn."""

SELDOM = 5
"""What changes seldom is asked for at one look of so many."""

OLD = 10.0
"""Seconds: requests that were over so long before the first look are shown to nobody."""

LINGER = 5.0
"""Seconds for which it goes on after the last look at the page."""

MOST_RECORDS = 200


class Collector:
    """The collection.

    Args:
        refresh: seconds from one look to the next.
    Attributes:
        snapshot: the last one; empty before the first.
        watches: what is known of each replica, by name.
    """

    def __init__(
        self, runtime: MeshRuntime, admin: AdminClient, faults: Faults, hub: Hub, refresh: float = REFRESH
    ) -> None:
        self.runtime = runtime
        self.admin = admin
        self.hub = hub
        self.snapshot: dict[str, Any] = {}
        self.watches: dict[str, Watch] = {}
        self.history = History()
        self.records = Records()
        self._faults = faults
        self._every = refresh
        self._latencies: dict[str, Latencies] = {}
        self._fresh: list[Record] = []
        self._said: list[tuple[str, str]] = []
        self._tick = 0
        self._wanted_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._done = asyncio.Event()
        self._problem: PageError | None = None

    async def look(self) -> dict[str, Any]:
        """The snapshot, a fresh one where nobody has looked for a while. Errors: PageError where no mesh runs."""
        self.want()
        if self._task is None:
            self._done.clear()
            self._task = asyncio.create_task(self._run(), name="collector")
        if not self._done.is_set():
            await self._done.wait()
        if self._problem is not None:
            raise self._problem
        return self.snapshot

    def want(self) -> None:
        """Somebody looks."""
        self._wanted_until = time.monotonic() + LINGER

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = [*self._looks, *([self._task] if self._task else [])]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def tier_of(self, name: str) -> int:
        """A proxy's tier."""
        watch = self.watches.get(name)
        return 9 if watch is None else watch.place.tier

    def watch_of(self, name: str) -> Watch:
        """Errors: PageError where there is no such replica."""
        if name not in self.watches:
            raise PageError(f"There is no replica {name}.", 404)
        return self.watches[name]

    async def _run(self) -> None:
        # Counts of before are of no use now: proxies have not kept on counting.
        self.watches, self.snapshot, self._latencies = {}, {}, {}
        try:
            while self.hub.listeners or time.monotonic() < self._wanted_until:
                begun = time.monotonic()
                await self._refresh()
                self._done.set()
                await asyncio.sleep(max(self._every / 10, self._every - (time.monotonic() - begun)))
        finally:
            self._task = None
            self._done.set()

    async def _refresh(self) -> None:
        try:
            places = await self.runtime.places()
        except PageError as error:
            self._problem = error
            self.hub.end()
            return
        self._problem = None
        self._tick += 1
        self._take_places(places)
        started = [self._start(each) for each in self._due()]
        waited = [each for each in started if each is not None]
        if waited:
            await asyncio.wait(waited, timeout=WAIT * self._every)
        self._publish(time.time())

    def _take_places(self, places: Sequence[Place]) -> None:
        known = self.watches
        self.watches = {}
        for place in places:
            watch = known.get(place.name) or Watch(place)
            watch.place = place
            self.watches[place.name] = watch

    def _due(self) -> list[Watch]:
        """Whose turn it is: fronts always."""
        fronts = [each for each in self.watches.values() if each.place.tier == FRONT_TIER]
        others = [each for each in self.watches.values() if each.place.tier != FRONT_TIER]
        turns = -(-len(others) // ASKED_AT_ONCE) or 1
        return fronts + others[self._tick % turns :: turns]

    def _start(self, watch: Watch) -> asyncio.Task[None] | None:
        if watch.asking or watch.place.state == "stopped":
            return None
        watch.asking = True
        task = asyncio.create_task(self._look(watch), name=f"look at {watch.place.name}")
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    # One look at one proxy

    async def _look(self, watch: Watch) -> None:
        seldom = watch.looks % SELDOM == 0
        watch.looks += 1
        try:
            if watch.place.admin:
                await self._ask(watch, seldom)
            if seldom and watch.place.tier != FRONT_TIER:
                await self.ask_faults(watch)
            watch.missed = 0
        except PageError:
            watch.missed += 1
        finally:
            watch.asking = False

    async def _ask(self, watch: Watch, seldom: bool) -> None:
        admin, front = watch.place.admin, watch.place.tier == FRONT_TIER
        told = await self.admin.json(admin, f"/requests?since={watch.sequence}&limit={MOST_RECORDS}")
        first = not watch.source
        self._take_records(watch, watch.take_requests(time.monotonic(), told), first)
        if front or seldom:
            watch.take_clusters(time.monotonic(), await self.admin.text(admin, "/clusters"))
        if front and watch.configuration is None:
            dump = await self.admin.json(admin, "/config_dump", patient=True)
            watch.configuration = configuration_of(dump["configs"][0]["bootstrap"])
        if front and seldom:
            await self.ask_runtime(watch)
            for text in watch.take_python(await self.admin.json(admin, "/python")):
                self.say("filter", f"{watch.place.name}: {text}")

    async def ask_runtime(self, watch: Watch) -> None:
        """The runtime of a proxy as it is now. Errors: PageError."""
        watch.take_runtime(await self.admin.json(watch.place.admin, "/runtime"))

    async def ask_faults(self, watch: Watch) -> None:
        """The faults of a replica as they are now. Errors: PageError."""
        watch.faults = await self._faults.get(self.app_of(watch))

    def app_of(self, watch: Watch) -> str:
        """Where the service itself is to be asked: beside its proxy, or else through it, where others find it."""
        if watch.app:
            return watch.app
        hosts = (address for each in self.watches.values() for _, address in each.hosts)
        return next((each for each in hosts if each.rpartition(":")[0] == watch.place.address), "")

    def _take_records(self, watch: Watch, told: list[dict[str, Any]], first: bool) -> None:
        now = time.monotonic()
        for each in told:
            # At the first look some may be old; nobody waits for them.
            if is_check(watch.place, each) or (first and each["time"] < time.time() - OLD):
                continue
            target = self._place_at(each["upstream"])
            upstream = each["upstream"] if target is None or target is watch.place else target.name
            record = record_of(watch.place, watch.source, each, upstream)
            self.records.add(record)
            self._fresh.append(record)
            self._measure(watch.place, target, record, now)

    def _place_at(self, address: str) -> Place | None:
        host = address.rpartition(":")[0].strip("[]")
        found = (each.place for each in self.watches.values() if each.place.tier != FRONT_TIER)
        return next((place for place in found if place.address == host), None)

    def _measure(self, place: Place, target: Place | None, record: Record, now: float) -> None:
        ids = [place.name]
        if place.tier == FRONT_TIER:
            ids.append(CLIENTS)
            if target is not None and not target.admin:
                ids.append(target.name)
        if record["upstream"] and target is not place:
            ids.append(f"{place.name}>{record['upstream']}")
        for id_ in ids:
            self._latencies.setdefault(id_, Latencies()).add(now, record["ms"])

    # The snapshot

    def say(self, kind: str, text: str) -> None:
        """Tell every browser of something that has happened."""
        self._said.append((kind, text))

    def _publish(self, now: float) -> None:
        for watch in self.watches.values():
            watch.become(now)
        picture = Picture(list(self.watches.values()), self._latencies, time.monotonic())
        before, self.snapshot = self.snapshot, self._snapshot(picture, now)
        self._remember(now)
        said, self._said = self._said, []
        if before:
            said += notices(before, self.snapshot)
        fresh, self._fresh = self._fresh, []
        events: list[tuple[str, Any]] = [
            ("notice", {"time": now, "kind": kind, "text": text}) for kind, text in said[:MOST_RECORDS]
        ]
        self.hub.publish([*events, ("requests", to_send(fresh, self.tier_of)), ("mesh", self.snapshot)])

    def _snapshot(self, picture: Picture, now: float) -> dict[str, Any]:
        proxies = [each for each in self.watches.values() if each.place.tier == FRONT_TIER]
        can = dict(self.runtime.can)
        if can["runtime"] is None and not any(
            each.configuration and each.configuration.admin_layer for each in proxies
        ):
            can["runtime"] = (
                "This configuration has no admin layer in its runtime; the example canary-by-weight has one."
            )
        return {
            "time": now,
            "sequence": self._tick,
            "runtime": self.runtime.kind,
            "example": self.runtime.example,
            "refresh": self._every,
            "can": can,
            "nodes": picture.nodes,
            "edges": picture.edges,
            "runtime_values": {each.place.name: each.runtime for each in proxies},
            "weights": picture.weights(),
            "totals": picture.totals(),
        }

    def _remember(self, now: float) -> None:
        for each in [*self.snapshot["nodes"], *self.snapshot["edges"]]:
            self.history.add(each["id"], Moment(now, each["rps"], each["errors"], each["p50"], each["p99"]))
        self.history.forget(now - HISTORY * self._every)
        shown = {each["id"] for each in [*self.snapshot["nodes"], *self.snapshot["edges"]]} | self.watches.keys()
        for id_ in self._latencies.keys() - shown:
            if not any(id_.startswith(f"{name}>") for name in self.watches):
                del self._latencies[id_]
