"""Upgrades and CONNECT. Where none is configured they are refused; a listener with `upgrade_configs` belongs here."""

from __future__ import annotations

from tests.integration.exchanges import get, message
from tests.integration.harness import catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts

AREA = "upgrades"
UPGRADE = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAA")


def _configuration(places: Places) -> Json:
    cluster = static_cluster("up", *places.group("one"))
    return bootstrap_of([http_listener("main", catch_all(to_cluster("up")))], [cluster])


SETUP = Setup("upgrades", _configuration, hosts("one", 1))


def case(name: str, *steps: bytes) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP)


CASES = [
    case("websocket where no upgrade is configured", get("/", *UPGRADE)),
    case("connect where it is not configured", message("CONNECT a.com:443", host="a.com:443")),
    case("an upgrade that connection does not name", get("/", "upgrade: websocket")),
]
