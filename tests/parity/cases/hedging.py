"""Hedging: a try whose time is over goes on beside the next one. The upstream answers by the number of the try."""

from __future__ import annotations

import re
import time
from typing import Any

from tests.integration.exchanges import get, message
from tests.integration.harness import Answer, Peer, Request, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of
from tests.parity.upstreams import Recorder

AREA = "hedging"
NOTHING = b""
CLOSE = b"close"


def after(seconds: float, status: int = 200) -> tuple[float, bytes]:
    """An answer of that status, so many seconds after the request."""
    return seconds, b"HTTP/1.1 %d X\r\ncontent-length: 3\r\nx-n: %%d\r\n\r\nabc" % status


def tries(*answers: tuple[float, bytes]) -> Answer:
    """What the first try gets, the second, ..."""

    def answer(peer: Peer, request: Request) -> None:
        found = re.search(rb"\r\nx-envoy-attempt-count: (\d+)", request.head)
        assert found is not None
        seconds, data = answers[int(found[1]) - 1]
        time.sleep(seconds)
        if data == CLOSE:
            peer.close()
        elif data:
            peer.send(data % int(found[1]))

    return answer


NEVER = (1.5, CLOSE)
ANSWERS = {
    "in-time": tries(after(0)),
    "slow": tries(after(0.5), NEVER),
    "second": tries(NEVER, after(0)),
    "bad-second": tries(after(0.5), after(0, 503)),
    "bad-first": tries(after(0.35, 503), after(0.4)),
    "both-bad": tries(after(0.6, 500), after(0, 503)),
    "closes-first": tries((0.35, CLOSE), after(0.4)),
    "closes-second": tries(after(0.5), (0.05, CLOSE)),
    "both-close": tries((0.5, CLOSE), (0.05, CLOSE)),
    "never": tries(NEVER, NEVER, NEVER),
    "thrice": tries(NEVER, NEVER, after(0)),
    "bad-at-once": tries(after(0, 503), after(0.3), after(0)),
    "interim": tries(
        (0.3, b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\nx-n: %d\r\n\r\na"), NEVER
    ),
}


def _route(path: str, cluster: str = "up", **more: Any) -> Json:
    policy = {
        "retry_on": "5xx",
        "num_retries": 1,
        "per_try_timeout": "0.2s",
        "retry_back_off": {"base_interval": "0.002s"},
    }
    policy |= more.pop("retry", {})
    return to_cluster(cluster, path, timeout="0.9s", retry_policy=policy, **more)


HEDGE = {"hedge_policy": {"hedge_on_per_try_timeout": True}}


def _configuration(places: Places) -> Json:
    up = [places["up"]]
    routes = [
        _route("/off/", hedge_policy={"hedge_on_per_try_timeout": False, "initial_requests": 3}),
        _route("/none/", retry={"num_retries": 0}, **HEDGE),
        _route("/two/", retry={"num_retries": 2}, **HEDGE),
        _route("/connect-only/", retry={"retry_on": "connect-failure"}, **HEDGE),
        _route("/no-policy/", retry={"retry_on": ""}, **HEDGE),
        _route("/idle/", retry={"per_try_timeout": "0s", "per_try_idle_timeout": "0.2s"}, **HEDGE),
        _route("/full/", "full", **HEDGE),
        _route(
            "/all/", hedge_policy={"hedge_on_per_try_timeout": True, "additional_request_chance": {"numerator": 100}}
        ),
        _route("/"),
    ]
    table = catch_all(*[{**each, "route": {**each["route"], "regex_rewrite": STRIP}} for each in routes])
    table["virtual_hosts"][0]["include_request_attempt_count"] = True
    below = {**table, "virtual_hosts": [{**table["virtual_hosts"][0], **HEDGE}]}
    thresholds = {"thresholds": [{"max_retries": 0}]}
    clusters = [static_cluster("up", *up), static_cluster("full", *up, circuit_breakers=thresholds)]
    return bootstrap_of([http_listener("main", table), http_listener("host", below)], clusters)


class _Rounded(list[str]):
    """What was seen; of the rest of the time, which try it is of: a busy machine begins one late."""

    def append(self, text: str) -> None:
        super().append(re.sub(r"(timeout-ms: )(\d+)", lambda found: f"{found[1]}{_rest(int(found[2]))}", text))


def _rest(milliseconds: int) -> int:
    """What is left of 900 ms, when tries begin 200 ms apart: to the nearest of 900, 700, 500, ..."""
    return 100 + milliseconds // 200 * 200


class Upstream(Recorder):
    """A recorder of such."""

    def __init__(self) -> None:
        super().__init__({f"/{path}": answer for path, answer in ANSWERS.items()})
        self.seen = _Rounded()


STRIP = {"pattern": {"regex": "^/[a-z-]+/([a-z-]+)$"}, "substitution": "/\\1"}
SETUP = Setup("hedging", _configuration, {"up": Upstream})


def case(name: str, path: str, *fields: str, on: str = "main") -> Case:
    return Case(AREA, name, (get(path, *fields),), on, quiet=1.2, setup=SETUP)


CASES = [
    *[case(path, f"/all/{path}") for path in ANSWERS],
    case("two retries", "/two/thrice"),
    case("two retries, and a bad answer at once", "/two/bad-at-once"),
    case("all too slow, with two retries", "/two/never"),
    case("no retry left", "/none/slow"),
    case("no retry left and never", "/none/never"),
    case("retried whatever the conditions", "/connect-only/second"),
    case("but a bad answer only by them", "/connect-only/bad-second"),
    case("without a condition", "/no-policy/slow"),
    case("by the idle timeout of a try", "/idle/second"),
    case("too many retries", "/full/slow"),
    case("as the virtual host says", "/second", on="host"),
    case("the route says otherwise", "/off/second", on="host"),
    case("as the request says", "/second", "x-envoy-hedge-on-per-try-timeout: true"),
    case("the request says otherwise", "/all/second", "x-envoy-hedge-on-per-try-timeout: false"),
    case("the request says nonsense", "/all/second", "x-envoy-hedge-on-per-try-timeout: 1"),
    case("not hedged", "/second"),
    Case(
        AREA,
        "with a body",
        (message("POST /all/second", "content-length: 3", body=b"abc"),),
        "main",
        quiet=1.2,
        setup=SETUP,
    ),
]
