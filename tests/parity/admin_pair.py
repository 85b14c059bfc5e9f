"""The admin API of the real Envoy and of ours, side by side: the same requests, answers made comparable.

What is the process's own (times, ports, memory, version, the extensions that are built in) is masked by name, nothing
else. It must not know what an endpoint should answer.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.integration.harness import (
    Address,
    Proxy,
    bootstrap,
    catch_all,
    exchange,
    hcm_filter,
    http_listener,
    refused_address,
    socket_address,
    static_cluster,
    to_cluster,
)

ROOT = Path(__file__).resolve().parents[2]
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"

KIND = "@kind@"
"""In a value of the configuration: ``real`` or ``ours``."""

Header = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """A status, the headers in order with the date masked, and a body that can be compared."""

    status: int
    headers: tuple[Header, ...]
    body: str


class AdminPair:
    """Two proxies of one configuration: a plain listener, an INBOUND one with TLS, two clusters, an admin layer.

    Args:
        oracle: the real Envoy's program.
        upstream: where the cluster's hosts are.
        admin: more of the bootstrap's `admin`.
    """

    def __init__(self, oracle: Path, folder: Path, upstream: Address, **admin: Any) -> None:
        certificates = folder / "certs"
        subprocess.run([sys.executable, ROOT / "certs/generate.py", certificates], check=True, capture_output=True)
        self._config = json.dumps(configuration(certificates, upstream, admin))
        self._folder = folder
        self._stack = ExitStack()
        self._makers: dict[str, Callable[..., Proxy]] = {"real": partial(Proxy.real, oracle), "ours": Proxy.ours}
        self.proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Self:
        with self._stack as stack:
            flags = ("--service-cluster", "c", "--service-node", "n")
            started = {
                kind: make(self._config.replace(KIND, kind), self._folder / kind, *flags)
                for kind, make in self._makers.items()
            }
            for kind, proxy in started.items():
                self.proxies[kind] = stack.enter_context(proxy)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def send(self, listener: str, data: bytes) -> None:
        """The same bytes to a listener of both."""
        for proxy in self.proxies.values():
            assert exchange(proxy.addresses[listener], [data], 0.2).data

    def ask(self, line: str, body: str = "") -> tuple[Answer, Answer]:
        """(the real one's, ours) to a request such as ``GET /stats``; a body is sent as a form."""
        with ThreadPoolExecutor(2) as pool:
            real, ours = pool.map(partial(self._ask, line=line, body=body), ("real", "ours"))
        return real, ours

    def _ask(self, kind: str, line: str, body: str) -> Answer:
        proxy = self.proxies[kind]
        method, _, target = line.partition(" ")
        connection = http.client.HTTPConnection(*proxy.admin, timeout=10)
        try:
            form = {"content-type": "application/x-www-form-urlencoded"} if body else {}
            connection.request(method, target, body or None, form)
            response = connection.getresponse()
            headers = tuple((name, "DATE" if name == "date" else value) for name, value in response.getheaders())
            text = response.read().decode()
        finally:
            connection.close()
        return Answer(response.status, headers, self._comparable(proxy, kind, target.partition("?")[0], text))

    def _comparable(self, proxy: Proxy, kind: str, path: str, text: str) -> str:
        text = text.replace(str(self._folder / kind), "FOLDER")
        for name, (host, port) in proxy.addresses.items():
            text = text.replace(f"{host}:{port}", f"{host}:{name}").replace(
                f'"port_value": {port}', f'"port_value": {name}'
            )
        text = text.replace(f"{proxy.admin[0]}:{proxy.admin[1]}", "ADMIN")
        return MASKS[path](text) if path in MASKS else text


def configuration(certificates: Path, upstream: Address, admin: dict[str, Any]) -> dict[str, Any]:
    """The bootstrap of both."""
    pair = {
        "certificate_chain": {"filename": str(certificates / "front-envoy.crt")},
        "private_key": {"filename": str(certificates / "front-envoy.key")},
    }
    context = {"@type": TLS, "common_tls_context": {"tls_certificates": [pair]}}
    routes = {"name": "local_route", **catch_all(to_cluster("app"))}
    tls = {
        "name": "tls",
        "traffic_direction": "INBOUND",
        "address": socket_address(("127.0.0.1", 0)),
        "stat_prefix": "tls",
        "filter_chains": [
            {
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
                "filters": [hcm_filter(routes)],
            }
        ],
    }
    named = {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "600s"}
    clusters = [
        static_cluster("app", upstream, circuit_breakers={"thresholds": [{"max_connections": 7, "max_retries": 9}]}),
        static_cluster("named", ("localhost", refused_address()[1]), **named),
    ]
    layers = [
        {"name": "static", "static_layer": {"a": {"b": 1}, "c": "text", "d": True}},
        {"name": "admin", "admin_layer": {}},
    ]
    config = bootstrap([http_listener("plain", routes), tls], clusters, layered_runtime={"layers": layers})
    config["admin"].update(admin)
    config["node"] = {"locality": {"region": "r"}, "metadata": {"k": "v"}}
    return config


# What is the process's own, by endpoint.


def _server_info(text: str) -> str:
    value = json.loads(text)
    for name in ("version", "uptime_current_epoch", "uptime_all_epochs", "hot_restart_version"):
        assert value[name]
        value[name] = "OWN"
    _mask_node(value["node"])
    # A flag that only the test gives to the real one, so that two can run at a time.
    del value["command_line_options"]["use_dynamic_base_id"]
    return json.dumps(value, indent=1)


def _mask_node(node: dict[str, Any]) -> None:
    assert node["extensions"]
    node["extensions"] = "OWN"
    assert node["user_agent_build_version"]["metadata"].keys() == {
        "build.type", "revision.sha", "revision.status", "ssl.version",
    }  # fmt: skip
    node["user_agent_build_version"] = "OWN"


def _config_dump(text: str) -> str:
    if not text.startswith("{"):
        return text
    value = json.loads(re.sub(r'("last_updated": )"[^"]+"', r'\1"TIME"', text))
    for config in value.get("configs", []):
        for layer in config.get("bootstrap", {}).get("layered_runtime", {}).get("layers", []):
            if "static_layer" in layer:  # a Struct: in the order of a hash map
                layer["static_layer"] = dict(sorted(layer["static_layer"].items()))
        if "node" in config.get("bootstrap", {}):
            _mask_node(config["bootstrap"]["node"])
        # The real one's are in the order of a hash map.
        for name in ("static_clusters", "static_endpoint_configs"):
            if name in config:
                config[name].sort(key=json.dumps)
    if len({config["@type"] for config in value.get("configs", [])}) == 1:
        value["configs"].sort(key=json.dumps)
    return json.dumps(value, indent=1)


def _clusters(text: str) -> str:
    if text.startswith("{"):
        value = json.loads(text)
        value.get("cluster_statuses", []).sort(key=lambda each: each["name"])
        return json.dumps(value, indent=1)
    lines = text.splitlines()
    return "\n".join(sorted(lines, key=lambda line: line.partition("::")[0]))


def _runtime(text: str) -> str:
    return json.dumps(json.loads(text), indent=1, sort_keys=True)  # the real one's order is a hash map's


def _memory(text: str) -> str:
    value = json.loads(text)
    assert int(value["allocated"]) > 0
    return json.dumps({name: type(each).__name__ for name, each in value.items()})


def _logging(text: str) -> str:
    # Which loggers there are is the program's own; those of one name are compared, and all else.
    words = "admin client config connection dns file filter http http2 main pool router runtime upstream"
    kept = set(words.split())
    lines = text.splitlines()
    return "\n".join(line for line in lines if not line.startswith("  ") or line.strip().partition(":")[0] in kept)


def _lookups(text: str) -> str:
    return re.sub(r"(?m)^(total: )\d+$|^ +\d+ \S+$\n?", r"\1N", text)


MASKS: dict[str, Callable[[str], str]] = {
    "/server_info": _server_info,
    "/config_dump": _config_dump,
    "/clusters": _clusters,
    "/memory": _memory,
    "/runtime": _runtime,
    "/logging": _logging,
    "/stats/recentlookups": _lookups,
    "/hot_restart_version": lambda text: "OWN" if re.fullmatch(r"disabled|\d+\.\d+", text) else text,
}
