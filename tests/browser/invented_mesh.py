"""An invented mesh that the page is shown in tests: a server of the page's API whose every figure the test decides.

What a test does to it (`kill`, `eject`) is in the next event. What the page sends is answered as the real server does,
and kept in `asked`. It serves the page's own files with its own content security policy.
"""

import asyncio
import json
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

STATIC = Path(__file__).parents[2] / "envoymesh/page/static"
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
TOKEN = "a-token-of-this-test"
YAML = "clusters:\n- name: service1\n  type: STRICT_DNS\n  lb_policy: ROUND_ROBIN\n"
ROOT = STATIC.parents[2]


@cache
def explanation() -> dict[str, Any]:
    """What our own proxy says of a request to its own configuration: the one thing here that is not invented."""
    asked = ["explain", "-c", "front-envoy/envoy.yaml", "http://localhost:8080/service/2", "--json"]
    done = subprocess.run([sys.executable, "-m", "envoymesh", *asked], cwd=ROOT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def node(name: str, tier: int, kind: str, **more: Any) -> dict[str, Any]:
    """One node of the snapshot, well and idle unless `more` says otherwise."""
    service = name.rpartition("-")[0] or name
    plain = {
        "state": "healthy",
        "since": 1764550000.0,
        "rps": 0.0,
        "errors": 0.0,
        "p50": None,
        "p99": None,
        "faults": None,
    }
    about = {
        "id": name,
        "kind": kind,
        "service": service,
        "tier": tier,
        "addresses": [f"127.0.{tier}.1:8000"],
        "workers": 1,
    }
    return plain | about | more


class InventedMesh:
    """The mesh's state, and who listens to it."""

    def __init__(self, service1: int = 2) -> None:
        self.replicas = {"service1": service1, "service2": 1}
        self.states: dict[str, str] = {}
        self.flags: dict[str, list[str]] = {}
        self.faults: dict[str, dict[str, Any]] = {}
        self.runtime: dict[str, str] = {}
        self.weights = {"stable": 90, "canary": 10}
        self.can: dict[str, str | None] = dict.fromkeys(("scale", "replica", "faults", "example", "runtime"))
        self.example: str | None = None
        self.rate = 40.0
        self.asked: list[tuple[str, Any]] = []
        self.waiting: list[tuple[str, Any]] = []
        self.records: list[dict[str, Any]] = []
        self.sequence = 0
        self.away = False
        self.refresh = 0.2
        self.clients: set[asyncio.Queue[tuple[str, Any]]] = set()

    def notice(self, kind: str, text: str) -> None:
        """Tell the page of something that happened."""
        self.waiting.append(("notice", {"time": time.time(), "kind": kind, "text": text}))

    def kill(self, replica: str) -> None:
        """A replica's process has gone."""
        self.states[replica] = "stopped"
        self.notice("killed", f"{replica} was killed.")

    def eject(self, replica: str) -> None:
        """The front's outlier detection has ejected a replica."""
        self.flags[replica] = ["failed_outlier_check"]
        self.notice("ejected", f"{replica} was ejected by front-envoy-1: five failures in a row.")

    def names(self) -> list[str]:
        """The replicas, in their order."""
        return [f"{service}-{number + 1}" for service, count in self.replicas.items() for number in range(count)]

    def _replica(self, name: str) -> dict[str, Any]:
        used = self.states.get(name, "healthy") == "healthy" and name not in self.flags
        rate = self.rate / len(self.names()) if used else 0.0
        share = float(self.faults.get(name, {}).get("error_rate", 0))
        figures = {"rps": rate, "errors": rate * share, "p50": 1.2 if used else None, "p99": 4.3 if used else None}
        parts = [{"name": "sidecar", "admin": "127.0.1.1:8001"}, {"name": "app"}]
        state = self.states.get(name, "healthy")
        return node(name, 2, "replica", state=state, faults=self.faults.get(name, {}), parts=parts, **figures)

    def _edge(self, replica: dict[str, Any]) -> dict[str, Any]:
        figures = {key: replica[key] for key in ("rps", "errors", "p50", "p99")}
        well = replica["state"] == "healthy" and replica["id"] not in self.flags
        about = {"from": "front-envoy-1", "to": replica["id"], "cluster": replica["service"], "active": 1}
        health = {"health": "healthy" if well else "unhealthy", "flags": self.flags.get(replica["id"], [])}
        return {"id": f"front-envoy-1>{replica['id']}", **about, **health, **figures}

    def snapshot(self) -> dict[str, Any]:
        """What `/api/mesh` answers."""
        replicas = [self._replica(name) for name in self.names()]
        total = {key: sum(each[key] for each in replicas) for key in ("rps", "errors")} | {"p50": 1.9, "p99": 6.4}
        front = node("front-envoy-1", 1, "proxy", addresses=["127.0.0.1:8080", "127.0.0.1:8443"], **total)
        client = node("clients", 0, "client", addresses=[], **total)
        arriving = {"id": "clients>front-envoy-1", "from": "clients", "to": "front-envoy-1", "cluster": "ingress_http"}
        arriving |= {"health": "healthy", "flags": [], "active": 2, **total}
        weights = [
            {"proxy": "front-envoy-1", "key": f"canary.weights.{name}", "cluster": name, "weight": weight}
            for name, weight in self.weights.items()
        ]
        return {
            "time": time.time(),
            "sequence": self.sequence,
            "runtime": "embedded",
            "example": self.example,
            "refresh": self.refresh,
            "can": self.can,
            "nodes": [client, front, *replicas],
            "edges": [arriving, *(self._edge(each) for each in replicas)],
            "runtime_values": {"front-envoy-1": self.runtime},
            "weights": weights,
            "totals": total | {"replicas": len(replicas)},
        }

    def request(self, path: str = "/service/1", status: int = 200, flags: str = "-", ms: float = 6.4) -> None:
        """A request has passed both proxies."""
        self.sequence += 1
        identity, began = f"id-{self.sequence}", time.time()
        usable = [name for name in self.names() if self.states.get(name, "healthy") == "healthy"]
        host = usable[self.sequence % len(usable)]
        common = {
            "method": "GET",
            "path": path,
            "authority": "localhost:8080",
            "status": status,
            "protocol": "HTTP/1.1",
        }
        common |= {"flags": flags, "details": "via_upstream", "virtual_host": "backend", "request_id": identity}
        common |= {"bytes_in": 0, "bytes_out": 92}
        front = {"id": f"f{self.sequence}", "time": began, "proxy": "front-envoy-1", "route": "first", "upstream": host}
        front |= {
            "cluster": "service1",
            "ms": ms,
            "phases": {"request": 0.3, "connect": 0.6, "upstream": ms - 1.4, "response": 0.5},
        }
        side = {
            "id": f"s{self.sequence}",
            "time": began + 0.0011,
            "proxy": host,
            "route": "0",
            "upstream": "127.0.0.1:8080",
        }
        side |= {"cluster": "local_service", "ms": ms - 2.2}
        side |= {"phases": {"request": 0.2, "connect": None, "upstream": ms - 2.8, "response": 0.2}}
        pair = [common | front, common | side]
        self.records = (self.records + pair)[-400:]
        self.waiting.append(("requests", pair))

    def tell(self) -> None:
        """Send everybody who listens what happened, and the snapshot."""
        self.sequence += 1
        events, self.waiting = [*self.waiting, ("mesh", self.snapshot())], []
        for queue in self.clients:
            for event in events:
                queue.put_nowait(event)


def history(points: int = 300) -> dict[str, Any]:
    """Five minutes of figures that are easy to recognise: a slow wave."""
    now = int(time.time())
    wave = [abs((index % 60) - 30) / 30 for index in range(points)]
    return {
        "times": [now - points + index for index in range(points)],
        "rps": [10 + 5 * each for each in wave],
        "errors": [1.0 if index % 50 == 7 else 0.0 for index in range(points)],
        "p50": [1 + each for each in wave],
        "p99": [3 + 4 * each for each in wave],
    }


class InventedServer:
    """The page's API over an InventedMesh."""

    def __init__(self, mesh: InventedMesh) -> None:
        self.mesh = mesh
        self.app = web.Application(middlewares=[self._guard])
        self.app.router.add_get("/", self._index)
        self.app.router.add_static("/static", STATIC)
        self.app.router.add_get("/api/events", self._events)
        self.app.router.add_get("/api/{what:.*}", self._get)
        self.app.router.add_post("/api/{what}", self._post)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.mesh.away:
            raise web.HTTPServiceUnavailable(text='{"error": "The mesh does not run."}')
        if request.method == "POST" and request.headers.get("x-envoymesh-token") != TOKEN:
            return web.json_response({"error": "The token is missing."}, status=403)
        answer: web.StreamResponse = await handler(request)
        if not answer.prepared:
            answer.headers["content-security-policy"] = POLICY
        return answer

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-store"})
        await answer.prepare(request)
        queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.mesh.clients.add(queue)
        queue.put_nowait(("mesh", self.mesh.snapshot()))
        try:
            while not self.mesh.away:
                kind, data = await queue.get()
                await answer.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())
        except ConnectionError:
            pass
        finally:
            self.mesh.clients.discard(queue)
        return answer

    async def _get(self, request: web.Request) -> web.Response:
        what, _, rest = request.match_info["what"].partition("/")
        if what == "history":
            return web.json_response(history())
        if what == "part":
            stats = [[f"cluster.service1.upstream_rq_{code}", code * 3] for code in range(200, 240)]
            return web.json_response(
                {"stats": stats, "yaml": {"file": "front-envoy/envoy.yaml", "line": 28, "text": YAML}}
            )
        if what == "requests":
            record = next(each for each in self.mesh.records if each["id"] == rest)
            tiers = [each for each in self.mesh.records if each["request_id"] == record["request_id"]]
            return web.json_response({"record": record, "tiers": tiers, "explanation": explanation()})
        if what == "examples":
            return web.json_response(self._examples())
        return web.json_response(self.mesh.snapshot())

    def _examples(self) -> list[dict[str, Any]]:
        names = {"canary-by-weight": "Canary by weight", "outlier-ejection": "Outlier ejection", "retries": "Retries"}
        watch = [
            "About one answer in ten comes from service2.",
            "Change the weights while it runs.",
            "Both are counted.",
        ]
        return [
            {"name": name, "title": title, "watch": watch, "running": name == self.mesh.example}
            for name, title in names.items()
        ]

    async def _post(self, request: web.Request) -> web.Response:
        what, asked = request.match_info["what"], await request.json()
        self.mesh.asked.append((what, asked))
        answer = getattr(self, f"_post_{what}")(asked)
        self.mesh.tell()
        return web.json_response(answer)

    def _post_send(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["how"] == "once":
            self.mesh.request(asked["path"])
            return {
                "sent": 1,
                "status": 200,
                "headers": {"server": "envoy"},
                "body": "Hello from behind Envoy",
                "ms": 3.2,
            }
        return {"sent": asked.get("count", 0)}

    def _post_scale(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.mesh.replicas[asked["service"]] = asked["replicas"]
        self.mesh.notice("scaled", f"{asked['service']} has {asked['replicas']} replicas now.")
        return {}

    def _post_faults(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.mesh.faults[asked["replica"]] = asked["faults"]
        return {}

    def _post_replica(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["action"] == "kill":
            self.mesh.kill(asked["replica"])
        return {}

    def _post_runtime(self, asked: dict[str, Any]) -> dict[str, Any]:
        for key, value in asked["values"].items():
            cluster = key.rpartition(".")[2]
            if cluster in self.mesh.weights:
                self.mesh.weights[cluster] = int(value)
            self.mesh.runtime[key] = value
        return {}

    def _post_example(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.mesh.example = asked["name"]
        return {}


if __name__ == "__main__":  # to look at the page with: python -m tests.browser.invented_mesh
    shown = InventedMesh(service1=3)

    async def _move(app: web.Application) -> None:
        async def live() -> None:
            while True:
                await asyncio.sleep(1)
                for number in range(4):
                    shown.request(f"/service/{1 + number % 2}", ms=4 + number)
                shown.tell()

        app["live"] = asyncio.create_task(live())

    server = InventedServer(shown)
    server.app.on_startup.append(_move)
    print(f"http://127.0.0.1:8792/#token={TOKEN}")
    web.run_app(server.app, host="127.0.0.1", port=8792, print=None)
