"""Users' filters on a connection: each kind of step passes what the conformance suite sends; replies and faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.python_files import PASSING
from tests.unit.filters.network.http_connection_manager import test_filter_conformance as conformance
from tests.unit.filters.network.http_connection_manager.test_filter_conformance import (
    MESSAGES,
    WHOLE,
    ConformanceEdge,
    Message,
    answer,
    body_of,
    checked,
)

KIND = "envoymesh.http.PythonFilter"


def use(monkeypatch: pytest.MonkeyPatch, file: str, name: str = "", route: Any = None, **config: Any) -> None:
    """What the edges of this test have as their filter."""
    value = {"file": file, "class": name, "config": config}
    monkeypatch.setitem(conformance.SETTINGS, KIND, (value, {} if route is None else {"config": route}))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def written(text: str, route: Any = None, **config: Any) -> ConformanceEdge:
        head = "from dataclasses import dataclass\nfrom envoymesh.api import *\n"
        (tmp_path / "mine.py").write_text(head + text)
        use(monkeypatch, str(tmp_path / "mine.py"), "", route, **config)
        return ConformanceEdge(KIND)

    return written


def sent(edge: ConformanceEdge, request: Message = WHOLE, response: Message = WHOLE) -> tuple[bytes, Any]:
    """A request and its answer: all that came back, and the upstream's stream."""
    got = edge.receive(request.wire())
    edge.dispatcher.run_posted()
    stream = answer(edge, response)
    edge.dispatcher.run_posted()
    return got + edge.written, stream


@pytest.mark.parametrize("name", ["Plain", "Whole"])
@pytest.mark.parametrize("split", [0, 1, 7])
@pytest.mark.parametrize("message", MESSAGES)
def test_messages_of_every_shape_pass(monkeypatch: pytest.MonkeyPatch, name: str, split: int, message: Message) -> None:
    use(monkeypatch, PASSING, name)
    checked(ConformanceEdge(KIND), message, message, split)


@pytest.mark.parametrize("name", ["Waiting", "WaitingForAll"])
@pytest.mark.parametrize("message", MESSAGES)
def test_messages_pass_a_filter_that_waits(monkeypatch: pytest.MonkeyPatch, name: str, message: Message) -> None:
    use(monkeypatch, PASSING, name)
    edge = ConformanceEdge(KIND)
    edge.receive(message.wire())
    for _ in range(3):
        edge.dispatcher.run_posted()
    stream = answer(edge, message)
    assert (stream.body, stream.ended) == (message.body, True)
    assert (stream.trailers is not None) == (message.ending == "trailers")
    for _ in range(3):
        edge.dispatcher.run_posted()
    assert body_of(edge.written) == message.body
    assert edge.raised == []
    assert edge.stats.downstream_rq_active.value == 0


@pytest.mark.parametrize("name", ["Waiting", "WaitingForAll"])
def test_a_client_that_goes_while_it_waits_leaves_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    use(monkeypatch, PASSING, name)
    for end in range(1, len(WHOLE.wire())):
        edge = ConformanceEdge(KIND)
        edge.receive(WHOLE.wire()[:end])
        edge.connection.remote_close()
        edge.dispatcher.run_posted()
        assert edge.stats.downstream_rq_active.value == 0
        assert edge.raised == []


def test_a_function_is_enough(write: Any) -> None:
    edge = write("def on_request(request):\n    request.headers['x-a'] = request.method + request.path\n")
    _, stream = sent(edge)
    assert stream.headers.get(b"x-a") == b"POST/x"


def test_a_reply_is_the_answer(write: Any) -> None:
    edge = write("def on_request(request, me):\n    return Reply(418, 'tea', {'x-pot': me.config['a']})\n", a="blue")
    got, stream = sent(edge)
    assert stream is None
    assert got.startswith(b"HTTP/1.1 418 ")
    assert b"\r\nx-pot: blue\r\n" in got
    assert body_of(got) == b"tea"


def test_bodies_are_replaced_and_their_length_told(write: Any) -> None:
    edge = write(
        "class F(HttpFilter):\n"
        "    def on_request_body(self, request, body):\n        return body + b'!'\n"
        "    def on_response_body(self, response, body):\n        return body * 2\n"
    )
    got, stream = sent(edge)
    assert (stream.body, stream.headers.get(b"content-length")) == (WHOLE.body + b"!", b"11")
    assert body_of(got) == WHOLE.body * 2


def test_pieces_are_replaced(write: Any) -> None:
    edge = write("class F(HttpFilter):\n    def on_request_data(self, data, end):\n        return data.upper()\n")
    _, stream = sent(edge)
    assert stream.body == WHOLE.body.upper()


def test_a_routes_settings_come_first(write: Any) -> None:
    text = (
        "@dataclass\nclass S:\n    tag: str = 'none'\n"
        "class F(HttpFilter[S]):\n    def on_request(self, request):\n"
        "        request.headers['x-t'] = self.config.tag\n"
    )
    assert sent(write(text, tag="own"))[1].headers.get(b"x-t") == b"own"
    assert sent(write(text, {"tag": "route"}, tag="own"))[1].headers.get(b"x-t") == b"route"


@pytest.mark.parametrize(
    "text",
    [
        "def on_request(request):\n    raise ValueError('mine')\n",
        "async def on_request(request):\n    raise ValueError('mine')\n",
        "def on_request(request):\n    return 'not a reply'\n",
        "def on_request(request):\n    request.headers['x'] = 'a\\r\\nb: c'\n",
        "class F(HttpFilter):\n    async def on_request_body(self, request, body):\n        return 'text'\n",
        "async def on_request(request):\n    await type('A', (), {'__await__': lambda self: iter([1])})()\n",
    ],
)
def test_a_fault_costs_its_stream(write: Any, text: str) -> None:
    edge = write(text)
    got, stream = sent(edge)
    assert stream is None
    assert got.startswith(b"HTTP/1.1 500 ")
    assert len(edge.raised) == 1


def test_a_fault_in_a_response_costs_its_stream(write: Any) -> None:
    edge = write("async def on_response(response):\n    raise ValueError('mine')\n")
    got, _ = sent(edge)
    assert got.startswith(b"HTTP/1.1 500 ")
    assert len(edge.raised) == 1


def test_sleep_takes_time(write: Any) -> None:
    edge = write("async def on_request(request, me):\n    await me.sleep(2)\n    request.headers['x-a'] = '1'\n")
    edge.receive(WHOLE.wire())
    assert not edge.cluster.waits
    edge.dispatcher.advance(1.9)
    assert not edge.cluster.waits
    edge.dispatcher.advance(0.2)
    assert answer(edge, WHOLE).headers.get(b"x-a") == b"1"


def test_a_sleeper_is_woken_by_its_end(write: Any) -> None:
    edge = write(
        "async def on_request(request, me):\n    try:\n        await me.sleep(2)\n    finally:\n"
        "        me.stats.counter('ended').inc()\n"
    )
    edge.receive(WHOLE.wire())
    edge.connection.remote_close()
    edge.dispatcher.advance(5.0)
    assert edge.raised == []
    assert not edge.cluster.waits


def test_what_an_async_filter_awaits_may_fail(write: Any) -> None:
    edge = write(
        "async def on_request(request, me):\n    try:\n        await me.fetch('nowhere')\n"
        "    except FetchError as error:\n        return Reply(error.status, error.details)\n"
    )
    edge.get = lambda name: None
    got, _ = sent(edge)
    assert got.startswith(b"HTTP/1.1 503 ")
    assert body_of(got) == b"cluster_not_found"
