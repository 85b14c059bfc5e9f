"""gRPC calls from inside over real connections to a real server (grpcio), whose messages are bytes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from envoymesh.http.grpc import GrpcStatus
from envoymesh.http.headers import HeaderMap
from envoymesh.network.api import Address
from envoymesh.network.connection.connector import LoopConnector
from envoymesh.network.loop.dispatcher import LoopDispatcher, new_event_loop
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Store
from envoymesh.upstream.client import AsyncClient
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.grpc import (
    GrpcClient,
    GrpcOptions,
    GrpcRequestListener,
    GrpcStream,
    GrpcStreamListener,
)
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from envoymesh.upstream.stats import AsyncClientStats
from tests.support.grpc_server import PATIENCE, Served

LARGE = bytes(range(256)) * 4096  # 1 MiB


class Caller(GrpcStreamListener):
    """A stream's owner that a test can wait for."""

    def __init__(self) -> None:
        self.initial: HeaderMap | None = None
        self.trailing: HeaderMap | None = None
        self.messages: list[bytes] = []
        self.on_message: Callable[[], None] | None = None
        self.closed: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def on_receive_initial_metadata(self, metadata: HeaderMap) -> None:
        self.initial = metadata

    def on_receive_message(self, message: bytes) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message()

    def on_receive_trailing_metadata(self, metadata: HeaderMap) -> None:
        self.trailing = metadata

    def on_remote_close(self, status: int, message: str) -> None:
        self.closed.set_result((status, message))


class Asker(GrpcRequestListener):
    """A unary call's owner."""

    def __init__(self) -> None:
        self.result: asyncio.Future[bytes | tuple[int, str]] = asyncio.get_running_loop().create_future()

    def on_success(self, message: bytes) -> None:
        self.result.set_result(message)

    def on_failure(self, status: int, message: str) -> None:
        self.result.set_result((status, message))


Run = Callable[[Callable[[GrpcClient], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.stop()


def run_with(port: int, main: Callable[[GrpcClient], Coroutine[Any, Any, Any]]) -> Any:
    """Run `main(client)` on a loop of its own; the client's cluster is one server."""
    loop = new_event_loop()
    dispatcher = LoopDispatcher(loop)
    store = Store()
    settings = ClusterSettings("g", protocol="HTTP2")
    connector = LoopConnector(dispatcher)
    info = ClusterInfo(settings, store.scope("cluster.g."), RuntimeReader())
    cluster = Cluster(info, connector, dispatcher, lambda: 0.0, RuntimeReader())
    cluster.update_hosts([Host(Address("127.0.0.1", port), EndpointSettings("127.0.0.1", port))])
    stats = AsyncClientStats.create(store.scope("http.async-client."))
    client = GrpcClient(AsyncClient(dispatcher, stats, lambda: 0.0, b"192.0.2.9"), cluster)

    async def whole() -> Any:
        try:
            return await asyncio.wait_for(main(client), PATIENCE)
        finally:
            cluster.shutdown()
            await asyncio.sleep(0)

    try:
        result = loop.run_until_complete(whole())
        assert dispatcher.errors == 0
        assert cluster.stats.upstream_rq_active.value == 0
        return result
    finally:
        loop.close()


@pytest.fixture
def run(served: Served) -> Run:
    """A function that runs `main(client)` beside a server."""
    return lambda main: run_with(served.port, main)


def start(client: GrpcClient, method: str, caller: Caller, **options: Any) -> GrpcStream:
    stream = client.start(b"/t.T/" + method.encode(), caller, GrpcOptions(**options))
    assert stream is not None
    return stream


def ask(run: Run, method: str, message: bytes, **options: Any) -> bytes | tuple[int, str]:
    async def main(client: GrpcClient) -> bytes | tuple[int, str]:
        asker = Asker()
        client.send(b"/t.T/" + method.encode(), message, asker, GrpcOptions(**options))
        return await asker.result

    result: bytes | tuple[int, str] = run(main)
    return result


def test_a_unary_call(run: Run) -> None:
    assert ask(run, "Echo", b"hello") == b"hello"


def test_an_empty_message(run: Run) -> None:
    assert ask(run, "Echo", b"") == b""


def test_a_message_of_one_mebibyte(run: Run) -> None:
    assert ask(run, "Echo", LARGE) == LARGE


def test_a_message_over_the_limit(run: Run) -> None:
    status = ask(run, "Echo", LARGE, max_receive_message=1000)
    assert status == (GrpcStatus.RESOURCE_EXHAUSTED, f"received message larger than max ({len(LARGE)} vs. 1000)")


def test_an_error(run: Run) -> None:
    assert ask(run, "Fail", b"") == (GrpcStatus.NOT_FOUND, "no 100% match: \u00e9")


def test_a_method_that_is_not_there(run: Run) -> None:
    """The server answers with trailers only."""
    assert ask(run, "Nothing", b"") == (GrpcStatus.UNIMPLEMENTED, "Method not found!")


def test_a_compressed_answer(run: Run) -> None:
    """Nobody has said that compression is understood, and this server compresses all the same."""
    answer = ask(run, "Squeezed", b"", initial_metadata=[(b"grpc-accept-encoding", b"gzip")])
    assert answer == (GrpcStatus.INTERNAL, "compressed messages are not supported")


def test_a_deadline(run: Run, served: Served) -> None:
    assert ask(run, "Hang", b"", timeout=0.2) == (GrpcStatus.DEADLINE_EXCEEDED, "deadline exceeded")
    (told,) = served.service.timeouts
    assert told is not None
    assert 0 < told <= 0.2
    assert served.service.cancelled.wait(PATIENCE)


def test_metadata(run: Run) -> None:
    async def main(client: GrpcClient) -> None:
        caller = Caller()
        start(client, "Echo", caller).send_message(b"x", True)
        assert await caller.closed == (GrpcStatus.OK, "")
        assert caller.messages == [b"x"]
        assert caller.initial is not None
        assert caller.initial.get(b"x-initial") == b"i"
        assert caller.trailing is not None
        assert caller.trailing.get(b"x-trailing") == b"t"

    run(main)


def test_a_stream_from_the_server(run: Run) -> None:
    async def main(client: GrpcClient) -> None:
        caller = Caller()
        start(client, "Count", caller).send_message(b"1000", True)
        assert await caller.closed == (GrpcStatus.OK, "")
        assert caller.messages == [b"%d" % number for number in range(1000)]

    run(main)


def test_a_stream_to_the_server(run: Run) -> None:
    async def main(client: GrpcClient) -> None:
        caller = Caller()
        stream = start(client, "Sum", caller)
        for number in range(100):
            stream.send_message(b"%d" % number)
        stream.close()
        assert await caller.closed == (GrpcStatus.OK, "")
        assert caller.messages == [b"4950"]

    run(main)


def test_a_hundred_messages_both_ways(run: Run) -> None:
    async def main(client: GrpcClient) -> None:
        caller = Caller()
        stream = start(client, "Chat", caller)

        def answer() -> None:
            """The next message goes out when the answer to the one before is here."""
            if len(caller.messages) < 100:
                stream.send_message(b"message %d" % len(caller.messages))
            else:
                stream.close()

        caller.on_message = answer
        stream.send_message(b"message 0")
        assert await caller.closed == (GrpcStatus.OK, "")
        assert caller.messages == [b"MESSAGE %d" % number for number in range(100)]

    run(main)


def test_two_calls_at_once(run: Run) -> None:
    async def main(client: GrpcClient) -> None:
        callers = [Caller(), Caller()]
        streams = [start(client, "Chat", caller) for caller in callers]
        for number, stream in enumerate(streams):
            stream.send_message(b"%d" % number, True)
        for caller in callers:
            assert await caller.closed == (GrpcStatus.OK, "")
        assert [caller.messages for caller in callers] == [[b"0"], [b"1"]]

    run(main)


def test_a_call_that_is_cancelled(run: Run, served: Served) -> None:
    async def main(client: GrpcClient) -> None:
        caller = Caller()
        first = asyncio.Event()
        caller.on_message = first.set
        stream = start(client, "Half", caller)
        stream.send_message(b"", True)
        await first.wait()
        stream.reset()
        await asyncio.to_thread(served.service.cancelled.wait, PATIENCE)
        assert served.service.cancelled.is_set()
        assert not caller.closed.done()

    run(main)


def test_a_server_that_dies_midway() -> None:
    command = [sys.executable, "-m", "tests.support.grpc_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None

        async def main(client: GrpcClient) -> None:
            caller = Caller()
            caller.on_message = server.kill
            start(client, "Half", caller).send_message(b"", True)
            details = "upstream_reset_after_response_started{connection_termination}"
            assert await caller.closed == (GrpcStatus.INTERNAL, details)
            assert caller.messages == [b"first"]

        try:
            run_with(int(server.stdout.readline()), main)
        finally:
            server.kill()


def test_no_server(run: Run, served: Served) -> None:
    served.server.stop(None).wait()
    answer = ask(run, "Echo", b"")
    assert isinstance(answer, tuple)
    assert answer[0] == GrpcStatus.UNAVAILABLE
