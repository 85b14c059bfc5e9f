"""Users' filters that let everything pass, each in another way; tests say by `class` which."""

from __future__ import annotations

from collections.abc import Generator

from envoymesh.api import AccessLogger, Headers, HttpFilter, LogEntry, NetworkFilter, Request, Response


class NextTurn:
    """Awaits the next turn of the loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield None


class Plain(HttpFilter[object]):
    """Looks at everything."""

    def on_request(self, request: Request) -> None:
        request.headers["x-seen"] = "1"

    def on_request_data(self, data: bytes, end: bool) -> bytes:
        return data

    def on_request_trailers(self, trailers: Headers) -> None:
        trailers["x-seen"] = "1"

    def on_response(self, response: Response) -> None:
        response.headers["x-seen"] = "1"

    def on_response_data(self, data: bytes, end: bool) -> bytes:
        return data

    def on_response_trailers(self, trailers: Headers) -> None:
        trailers["x-t"] = "1"


class Whole(HttpFilter[object]):
    """Waits for bodies."""

    def on_request_body(self, request: Request, body: bytes) -> bytes:
        return body

    def on_response_body(self, response: Response, body: bytes) -> bytes:
        return body


class Waiting(HttpFilter[object]):
    """Waits a turn in each direction before it lets headers go on."""

    async def on_request(self, request: Request) -> None:
        await NextTurn()

    async def on_response(self, response: Response) -> None:
        await NextTurn()


class WaitingForAll(HttpFilter[object]):
    """Waits a turn with the headers, and another one with the body."""

    async def on_request(self, request: Request) -> None:
        await NextTurn()

    async def on_request_body(self, request: Request, body: bytes) -> bytes:
        await NextTurn()
        return body

    async def on_response(self, response: Response) -> None:
        await NextTurn()

    async def on_response_body(self, response: Response, body: bytes) -> bytes:
        await NextTurn()
        return body


class Wire(NetworkFilter[object]):
    """Bytes both ways."""

    def on_data(self, data: bytes, end: bool) -> bytes:
        return data

    def on_write(self, data: bytes, end: bool) -> bytes:
        return data


class Lines(AccessLogger[object]):
    """A line."""

    def on_log(self, entry: LogEntry) -> str:
        return entry.format("%RESPONSE_CODE%")
