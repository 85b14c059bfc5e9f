"""A real gRPC server (grpcio) for tests, whose messages are bytes; as a program it serves until it is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

PATIENCE = 20.0
"""Seconds after which a method that hangs goes on."""


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Methods of ``/t.T/``: each of the four kinds of a call, and how they go wrong."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.cancelled = threading.Event()
        self.timeouts: list[float | None] = []

    def service(self, details: Any) -> Any:
        name = details.method.removeprefix("/t.T/")
        kinds = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Half": grpc.unary_stream_rpc_method_handler(self.half),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Squeezed": grpc.unary_unary_rpc_method_handler(self.squeezed),
        }
        return kinds.get(name)

    def echo(self, request: bytes, context: Any) -> bytes:
        context.send_initial_metadata((("x-initial", "i"),))
        context.set_trailing_metadata((("x-trailing", "t"),))
        return request

    def fail(self, request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no 100% match: \u00e9")
        raise AssertionError("unreachable")

    def hang(self, request: bytes, context: Any) -> bytes:
        self.timeouts.append(context.time_remaining())
        context.add_callback(self.cancelled.set)
        self.release.wait(PATIENCE)
        return b""

    def count(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield from (b"%d" % number for number in range(int(request)))

    def half(self, request: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.cancelled.set)
        yield b"first"
        self.release.wait(PATIENCE)

    def chat(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield from (request.upper() for request in requests)

    def sum(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b"%d" % sum(map(int, requests))

    def squeezed(self, request: bytes, context: Any) -> bytes:
        context.set_compression(grpc.Compression.Gzip)
        return b"a" * 10_000


class Served:
    """A grpcio server on a port of its own."""

    def __init__(self) -> None:
        self.service = Service()
        self.server = grpc.server(
            ThreadPoolExecutor(4),
            handlers=(self.service,),
            options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
        )
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def stop(self) -> None:
        """End at once, calls under way included."""
        self.service.release.set()
        self.server.stop(None).wait()


if __name__ == "__main__":
    print(Served().port, flush=True)
    threading.Event().wait()
