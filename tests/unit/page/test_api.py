"""The page's server over fake admins: what it shows, what it changes, and whom it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from envoymesh.page.hub import MOST_LISTENERS
from tests.unit.page.fakes import TOKEN, Served, request, served


def run(test: Callable[[Served], Awaitable[None]]) -> None:
    async def body() -> None:
        async with served() as page:
            await test(page)

    asyncio.run(body())


def node(mesh: dict[str, Any], id_: str) -> dict[str, Any]:
    return next(each for each in mesh["nodes"] if each["id"] == id_)


def test_a_snapshot() -> None:
    async def test(page: Served) -> None:
        status, mesh = await page.get("/api/mesh")
        assert status == 200
        assert [each["id"] for each in mesh["nodes"]] == ["clients", "front-1", "service1-1"]
        assert {each["id"] for each in mesh["edges"]} == {"clients>front-1", "front-1>service1-1"}
        assert mesh["can"] == dict.fromkeys(("scale", "replica", "faults", "example", "runtime"))

    run(test)


def test_nobody_is_asked_while_nobody_looks() -> None:
    async def test(page: Served) -> None:
        await page.get("/healthz")
        await page.get("/")
        assert page.front.asked == page.replica.asked == []

    run(test)


def test_events_show_what_changes() -> None:
    async def test(page: Served) -> None:
        async with page.events() as next_:
            await next_("mesh")
            page.front.requests = [request(1)]
            page.replica.requests = [request(1, upstream="127.0.0.1:8080"), request(2, path="/healthz")]
            records = await next_("requests")
            assert [each["proxy"] for each in records] == ["front-1", "service1-1"]
            assert records[0]["upstream"] == "service1-1"
            page.front.flags = "/failed_outlier_check"
            assert (await next_("notice"))["kind"] == "ejected"
            mesh = await next_("mesh")
            assert mesh["edges"][1]["flags"] == ["failed_outlier_check"]
            page.runtime.found = page.runtime.found[:1]
            assert (await next_("notice"))["text"] == "service1-1 has gone."

    run(test)


def test_several_pages_share_one_collection_and_are_bounded() -> None:
    async def test(page: Served) -> None:
        async with page.events() as one, page.events() as other:
            before = len([each for each in page.front.asked if each.startswith("GET /requests")])
            first, second = await one("mesh"), await other("mesh")
            assert first == second
            await one("mesh")
            sequence = (await other("mesh"))["sequence"]
            # One more may be under way.
            after = len([each for each in page.front.asked if each.startswith("GET /requests")])
            assert after - before <= sequence + 1
        page.page._hub.listeners |= {asyncio.Queue() for _ in range(MOST_LISTENERS)}
        assert (await page.get("/api/events"))[0] == 503

    run(test)


def test_a_slow_admin_holds_up_nobody() -> None:
    async def test(page: Served) -> None:
        page.replica.slow = 30.0
        async with page.events() as next_:
            for _ in range(2):
                mesh = await next_("mesh")
            assert node(mesh, "front-1")["state"] == "healthy"
            assert len([each for each in page.replica.asked if each.startswith("GET /requests")]) == 1

    run(test)


def test_an_admin_that_does_not_answer_is_unreachable() -> None:
    async def test(page: Served) -> None:
        gone = replace(page.runtime.found[1], admin="127.0.0.1:1")
        page.runtime.found[1] = gone
        async with page.events() as next_:
            for _ in range(5):
                mesh = await next_("mesh")
            assert node(mesh, "service1-1")["state"] == "unreachable"

    run(test)


def test_without_a_mesh() -> None:
    async def test(page: Served) -> None:
        page.runtime.away = True
        assert await page.get("/api/mesh") == (503, {"error": "The mesh does not run."})
        assert (await page.get("/api/events"))[0] == 503

    run(test)


def test_details_of_a_part_and_of_a_request() -> None:
    async def test(page: Served) -> None:
        text = "static_resources:\n  clusters:\n  - name: service1\n    type: STATIC\n"
        page.runtime.found[0] = replace(page.runtime.found[0], source="front.yaml", text=text)
        page.front.requests = [request(1, status=503, flags="UH")]
        page.front.failures = [{"request_id": "id-1", "why": {"word": "UH"}}]
        await page.get("/api/mesh")
        _, whole = await page.get("/api/part?id=front-1")
        assert whole["stats"][0] == ["cluster.service1.upstream_rq_total", 3]
        assert whole["yaml"] == {"file": "front.yaml", "line": 1, "text": text}
        _, edge = await page.get("/api/part?id=front-1%3Eservice1-1")
        assert (edge["yaml"]["line"], edge["yaml"]["text"]) == (3, "  - name: service1\n    type: STATIC\n")
        assert edge["stats"][1] == ["filter", "^cluster\\.(service1)\\."]
        status, told = await page.get("/api/requests/s-1")
        assert status == 200
        assert told["record"]["id"] == told["tiers"][0]["id"] == "s-1"
        assert told["explanation"] == {"schema": 1, "url": "http://host/x", "listener": "http", "why": {"word": "UH"}}
        for path in ("/api/requests/none", "/api/part?id=none"):
            assert (await page.get(path))[0] == 404
        assert (await page.get("/api/part"))[0] == 400
        _, history = await page.get("/api/history?id=front-1")
        assert len(history["times"]) == len(history["p99"]) >= 1

    run(test)


def test_changes() -> None:
    async def test(page: Served) -> None:
        assert await page.post("/api/scale", {"service": "service1", "replicas": 3}) == (200, {})
        assert await page.post("/api/replica", {"replica": "service1-1", "action": "kill"}) == (200, {})
        assert await page.post("/api/example", {"name": "mirror"}) == (200, {})
        assert await page.post("/api/example", {"name": None}) == (200, {})
        assert page.runtime.did == [
            ("scale", "service1", 3), ("kill", "service1-1"), ("change", "mirror"), ("change", None),
        ]  # fmt: skip
        asked = {"proxy": "front-1", "values": {"a&b": "1"}}
        assert await page.post("/api/runtime", asked) == (200, {"values": {"a&b": "1"}})
        page.runtime.can["scale"] = "Type it yourself."
        assert await page.post("/api/scale", {"service": "service1", "replicas": 3}) == (
            409,
            {"error": "Type it yourself."},
        )

    run(test)


def test_faults_go_to_the_replica_itself() -> None:
    async def test(page: Served) -> None:
        await page.get("/api/mesh")
        watch = page.page._collector.watch_of("service1-1")
        watch.app = watch.place.admin
        asked = {"replica": "service1-1", "faults": {"error_rate": 0.5}}
        assert await page.post("/api/faults", asked) == (200, {"faults": {"error_rate": 0.5}})
        wrong = {"replica": "service1-1", "faults": {"error_rate": 2}}
        status, answer = await page.post("/api/faults", wrong)
        assert (status, answer["error"]) == (400, "error_rate: a number from 0 to 1 is expected, not 2")
        assert await page.post("/api/faults", {"replica": "service1-1", "faults": {}}) == (200, {"faults": {}})
        assert (await page.post("/api/faults", {"replica": "none", "faults": {}}))[0] == 404

    run(test)


def test_requests_of_the_lab() -> None:
    async def test(page: Served) -> None:
        async with page.events() as next_:
            while not page.page._collector.watches["front-1"].configuration:
                await next_("mesh")
            _, once = await page.post("/api/send", {"how": "once", "path": "/stats?filter=a%20b"})
            assert (once["status"], once["sent"]) == (200, 1)
            assert "filter: a b" in once["body"]
            _, burst = await page.post("/api/send", {"how": "burst", "path": "/stats", "count": 120})
            assert burst == {"sent": 120, "statuses": {"200": 120}}
            assert page.front.asked.count("GET /stats") == 120
            await page.post("/api/send", {"how": "rate", "path": "/stats?r", "rate": 100})
            while page.front.asked.count("GET /stats?r") < 3:
                await next_("mesh")
            assert (await page.post("/api/send", {"how": "stop"}))[1]["sent"] >= 3

    run(test)


def test_a_rate_ends_with_the_last_page() -> None:
    async def test(page: Served) -> None:
        async with page.events() as next_:
            while not page.page._collector.watches["front-1"].configuration:
                await next_("mesh")
            await page.post("/api/send", {"how": "rate", "path": "/stats?r", "rate": 50})
            task = page.page._sender._rate
        assert task is not None
        await asyncio.wait_for(task, 10)

    run(test)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"how": "rate", "rate": 201}, "at most 200 a second"),
        ({"how": "burst", "count": 1001}, "1 to 1000 requests"),
        ({"how": "burst"}, "count is a number"),
        ({"how": "burst", "count": float("inf")}, "count is a number"),
        ({"how": "rate", "rate": float("nan")}, "rate is a number"),
        ({"how": "once", "path": "http://elsewhere/"}, "A path begins with /"),
        ({"how": "once", "path": "/a b"}, "A path begins with /"),
        ({"how": "once", "method": "CONNECT"}, "CONNECT is none of"),
        ({"how": "once", "scheme": "file"}, "http or https"),
        ({"how": "once", "headers": {"a": "b\r\nc: d"}}, "is no header"),
        ({"how": "once", "body": "x" * 70_000}, "65536 characters at most"),
        ({"how": "often"}, "how is once, rate, burst or stop"),
    ],
)
def test_what_is_not_sent(asked: dict[str, Any], error: str) -> None:
    async def test(page: Served) -> None:
        status, answer = await page.post("/api/send", asked)
        assert status == 400
        assert error in answer["error"]

    run(test)


@pytest.mark.parametrize("path", ["scale", "faults", "replica", "runtime", "example", "send"])
def test_nothing_is_changed_without_the_token(path: str) -> None:
    async def test(page: Served) -> None:
        for token in ("", "wrong", TOKEN + "x"):
            status, answer = await page.post(f"/api/{path}", {"service": "service1", "replicas": 9}, token=token)
            assert (status, answer["error"].split(":")[0]) == (403, "The token is missing or wrong")
        assert page.runtime.did == []

    run(test)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8002"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Dest": "iframe"},
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str]) -> None:
    async def test(page: Served) -> None:
        assert (await page.get("/api/mesh", **headers))[0] == 403
        status, _ = await page.post("/api/scale", {"service": "service1", "replicas": 9}, **headers)
        assert status == 403
        assert page.runtime.did == []
        assert page.front.asked == []

    run(test)


def test_a_foreign_name_gets_not_even_the_files() -> None:
    async def test(page: Served) -> None:
        assert (await page.get("/", Host="evil.example"))[0] == 403
        assert (await page.get("/static/js/main.js", Host="evil.example"))[0] == 403

    run(test)


def test_what_browsers_are_told() -> None:
    async def test(page: Served) -> None:
        kinds = {"/": "text/html", "/static/js/main.js": "text/javascript", "/api/mesh": "application/json"}
        for path, kind in kinds.items():
            async with page._session.get(page.base + path) as answer:
                assert answer.status == 200
                assert answer.content_type == kind
                assert "default-src 'self'" in answer.headers["content-security-policy"]
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["cache-control"] == "no-cache"
        async with page._session.get(page.base + "/static/js/main.js") as answer:
            tag = answer.headers["etag"]
        async with page._session.get(page.base + "/static/js/main.js", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304

    run(test)


def test_no_file_beside_the_pages_own() -> None:
    async def raw(page: Served, target: str) -> bytes:
        host, _, port = page.base.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def test(page: Served) -> None:
        for target in ("../api.py", "%2e%2e/api.py", "..%2fapi.py", "/etc/passwd", ""):
            assert (await raw(page, f"/static/{target}")).split()[1] in (b"403", b"404"), target

    run(test)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_bodies_that_make_no_sense(body: bytes) -> None:
    async def test(page: Served) -> None:
        assert await page.post("/api/scale", body) == (400, {"error": "A JSON object is expected."})

    run(test)


def test_a_body_is_bounded() -> None:
    async def test(page: Served) -> None:
        assert (await page.post("/api/scale", b"x" * 300_000))[0] == 413

    run(test)


def test_a_filter_that_fails_is_told() -> None:
    async def test(page: Served) -> None:
        async with page.events() as next_:
            page.front.python = [{"file": "stamp.py", "line": 3, "error": "NameError: x"}]
            notice = await next_("notice")
            while notice["kind"] != "filter":
                notice = await next_("notice")
            assert notice["text"] == "front-1: stamp.py:3: NameError: x"

    run(test)
