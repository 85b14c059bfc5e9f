"""One connection of a fake host: HTTP/1.1, or HTTP/2 with prior knowledge. It must not know why it answers so."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h11

from envoymesh.testing.answers import Answer, Reply, Request, Reset

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
READ = 65536

Respond = Callable[[Request], Awaitable[Answer]]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond) -> None:
    """Serve a connection to its end."""
    try:
        begun = await reader.read(READ)
        while begun and len(begun) < len(PREFACE) and PREFACE.startswith(begun):
            more = await reader.read(READ)
            if not more:
                break
            begun += more
        if begun.startswith(PREFACE):
            await Http2(reader, writer, respond).run(begun)
        elif begun:
            await serve_http1(reader, writer, respond, begun)
    except (ConnectionError, h11.RemoteProtocolError, h2.exceptions.ProtocolError):
        # The proxy has gone, or says what the protocol does not have: what the test looks at is the proxy.
        return
    finally:
        writer.close()


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """Close it with RST."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# HTTP/1.1


async def serve_http1(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond, begun: bytes
) -> None:
    """One request after the other."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(begun)
    while (request := await _read_request(connection, reader, writer)) is not None:
        answer = await respond(request)
        await asyncio.sleep(answer.delay)
        if isinstance(answer, Reset):
            reset_connection(writer)
            return
        if not await _write_http1(connection, writer, answer, request.method):
            return
        if connection.our_state is h11.MUST_CLOSE:
            return
        connection.start_next_cycle()


async def _read_request(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                _write(writer, connection.send(h11.InformationalResponse(status_code=100, headers=[])))
            connection.receive_data(await reader.read(READ))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _request(head, body)
        else:
            return None


def _request(head: h11.Request, body: bytes) -> Request:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    authority = next((value for name, value in headers if name == "host"), "")
    return Request(head.method.decode("latin-1"), head.target.decode("latin-1"), authority, headers, body)


async def _write_http1(connection: h11.Connection, writer: asyncio.StreamWriter, answer: Reply, method: str) -> bool:
    """Write a response; False where it was cut and the connection is gone."""
    headers = list(answer.headers.items())
    names = {name.lower() for name, _ in headers}
    # Trailers need chunks, which h11 makes where no length is given.
    if not answer.trailers and not names & {"content-length", "transfer-encoding"}:
        headers.append(("content-length", str(len(answer.content))))
    _write(writer, connection.send(h11.Response(status_code=answer.status, headers=headers)))
    sends_body = method != "HEAD" and answer.status not in (204, 304)
    pieces = answer.split() if sends_body else []
    async for piece in paced(answer, pieces):
        _write(writer, connection.send(h11.Data(data=piece)))
        await writer.drain()
    if answer.cut:
        await drained(writer)
        reset_connection(writer)
        return False
    trailers = list(answer.trailers.items()) if sends_body else []
    _write(writer, connection.send(h11.EndOfMessage(headers=trailers)))
    await writer.drain()
    return True


async def paced(answer: Reply, pieces: list[bytes]) -> Any:
    """The pieces in their time; the first half of them where the answer is cut."""
    if answer.cut:
        content = b"".join(pieces)
        pieces = [content[: len(content) // 2]]
    for place, piece in enumerate(pieces):
        if place:
            await asyncio.sleep(answer.pause)
        yield piece


async def drained(writer: asyncio.StreamWriter) -> None:
    """Until the system has all that was written, and the peer has had a moment to read it: RST overtakes it."""
    while writer.transport.get_write_buffer_size():  # noqa: ASYNC110  no event says so
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)


def _write(writer: asyncio.StreamWriter, data: bytes | None) -> None:
    if data:
        writer.write(data)


# HTTP/2


class Http2:
    """A connection with many requests at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond) -> None:
        self._reader = reader
        self._writer = writer
        self._respond = respond
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._headers: dict[int, list[tuple[str, str]]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._window = asyncio.Event()

    async def run(self, begun: bytes) -> None:
        """Serve to the end."""
        self._connection.initiate_connection()
        data = begun
        try:
            while data:
                for event in self._connection.receive_data(data):
                    self._take(event)
                self._flush()
                data = await self._reader.read(READ)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._headers[event.stream_id] = [(_text(name), _text(value)) for name, value in event.headers]
            self._bodies[event.stream_id] = bytearray()
        elif isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id] += event.data
            self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            task = asyncio.ensure_future(self._answer(event.stream_id))
            self._tasks[event.stream_id] = task
        elif isinstance(event, h2.events.StreamReset):
            self._headers.pop(event.stream_id, None)
            task_or_none = self._tasks.pop(event.stream_id, None)
            if task_or_none is not None:
                task_or_none.cancel()
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self._window.set()

    async def _answer(self, stream: int) -> None:
        try:
            request = self._request(stream)
            answer = await self._respond(request)
            await asyncio.sleep(answer.delay)
            if isinstance(answer, Reset):
                self._connection.reset_stream(stream, answer.code)
            else:
                await self._write(stream, answer, request.method)
            self._flush()
        except (ConnectionError, h2.exceptions.ProtocolError):
            # The stream or the connection has gone meanwhile.
            return
        finally:
            self._tasks.pop(stream, None)

    def _request(self, stream: int) -> Request:
        fields = self._headers.pop(stream)
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        headers = [(name, value) for name, value in fields if not name.startswith(":")]
        return Request(
            pseudo.get(":method", ""),
            pseudo.get(":path", ""),
            pseudo.get(":authority", ""),
            headers,
            bytes(self._bodies.pop(stream)),
            protocol="HTTP/2",
        )

    async def _write(self, stream: int, answer: Reply, method: str) -> None:
        fields = [(":status", str(answer.status)), *((key.lower(), value) for key, value in answer.headers.items())]
        if not answer.trailers and "content-length" not in {name for name, _ in fields}:
            fields.append(("content-length", str(len(answer.content))))
        pieces = answer.split() if method != "HEAD" and answer.status not in (204, 304) else []
        trailers = list(answer.trailers.items()) if method != "HEAD" else []
        ends_now = not pieces and not trailers and not answer.cut
        self._connection.send_headers(stream, fields, end_stream=ends_now)
        self._flush()
        async for piece in paced(answer, pieces):
            await self._send(stream, piece)
        if answer.cut:
            await drained(self._writer)
            self._connection.reset_stream(stream, 2)
        elif trailers:
            self._connection.send_headers(stream, [(k.lower(), v) for k, v in trailers], end_stream=True)
        elif not ends_now:
            self._connection.end_stream(stream)

    async def _send(self, stream: int, data: bytes) -> None:
        """As the peer's windows allow."""
        while data:
            room = min(self._connection.local_flow_control_window(stream), self._connection.max_outbound_frame_size)
            if room <= 0:
                self._window.clear()
                await self._window.wait()
                continue
            self._connection.send_data(stream, data[:room])
            data = data[room:]
            self._flush()
            await self._writer.drain()

    def _flush(self) -> None:
        _write(self._writer, self._connection.data_to_send())


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
