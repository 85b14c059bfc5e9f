"""What people write filters and access loggers with: one file, a class or two functions, no build.

    from envoymesh.api import HttpFilter, Request

    class Hello(HttpFilter):
        def on_request(self, request: Request) -> None:
            request.headers["x-hello"] = "world"

docs/filters.md tells more. The names that `__all__` lists are stable; everything else in this package is not. Nothing
here runs by itself: `filters/*/python` and `access_loggers/python_log.py` call it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from envoymesh.formatter import Formatter, FormatterContext
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders

if TYPE_CHECKING:
    import logging

    from envoymesh.stats import Scope

__all__ = [
    "AccessLogger",
    "Answer",
    "FetchError",
    "Headers",
    "HttpFilter",
    "LogEntry",
    "NetworkFilter",
    "Reply",
    "Request",
    "Response",
]

C = TypeVar("C")
"""A filter's settings: a dataclass or a pydantic model, as in ``HttpFilter[Settings]``; else a dict."""

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110, 5.1, in lower case
_NOT_IN_VALUES: Final = re.compile(rb"[\0\r\n]")  # RFC 9110, 5.5
_FORMATS: dict[str, Formatter] = {}
_MOST_FORMATS: Final = 256


def to_text(value: bytes | None) -> str:
    """Bytes of a message as text: UTF-8, and what is not comes back unchanged from `to_bytes`."""
    return "" if value is None else value.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Text for a message. Errors: ValueError for what would end a line."""
    value = text.strip(" \t").encode("utf-8", "surrogateescape")
    if _NOT_IN_VALUES.search(value):
        raise ValueError(f"a header's value must not have line ends or NUL in it: {text!r}")
    return value


def _name(name: str) -> bytes:
    lower = name.lower().encode("utf-8", "surrogateescape")
    if not _NAME.fullmatch(lower):
        raise ValueError(f"not a header's name: {name!r}")
    return lower


class Headers(MutableMapping[str, str]):
    """The headers, or trailers, of a message: names in any case, the first value of each.

    Attributes:
        raw: the proxy's own map, of bytes.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: HeaderMap) -> None:
        self.raw = raw

    def __getitem__(self, name: str) -> str:
        value = self.raw.get(name.lower().encode("utf-8", "surrogateescape"))
        if value is None:
            raise KeyError(name)
        return to_text(value)

    def __setitem__(self, name: str, value: str) -> None:
        """Make it the only value. Errors: ValueError for a name or value that no message may have."""
        self.raw.set(_name(name), to_bytes(value))

    def __delitem__(self, name: str) -> None:
        if not self.raw.remove(_name(name)):
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter([to_text(name) for name in self.raw.index])

    def __len__(self) -> int:
        return len(self.raw.index)

    def add(self, name: str, value: str) -> None:
        """One more value. Errors: ValueError."""
        self.raw.add(_name(name), to_bytes(value))

    def get_all(self, name: str) -> list[str]:
        """All values of a name, in order."""
        return [to_text(each) for each in self.raw.get_all(_name(name))]

    def __repr__(self) -> str:
        return f"<Headers {self.raw.fields!r}>"


class Request:
    """A request on its way to the upstream. Host is not among its headers: see `authority`.

    Attributes:
        raw: the proxy's own headers, whose attributes are bytes.
    """

    __slots__ = ("headers", "raw")

    def __init__(self, raw: RequestHeaders) -> None:
        self.raw = raw
        self.headers = Headers(raw)

    @property
    def method(self) -> str:
        """Such as ``GET``."""
        return to_text(self.raw.method)

    @method.setter
    def method(self, value: str) -> None:
        self.raw.method = to_bytes(value)

    @property
    def path(self) -> str:
        """Path and query. A route is looked for again when a filter has changed it."""
        return to_text(self.raw.path)

    @path.setter
    def path(self, value: str) -> None:
        self.raw.path = to_bytes(value)

    @property
    def authority(self) -> str:
        """The host that is asked: HTTP/1's Host, HTTP/2's :authority."""
        return to_text(self.raw.authority)

    @authority.setter
    def authority(self, value: str) -> None:
        self.raw.authority = to_bytes(value)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return to_text(self.raw.scheme)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.authority}{self.path}>"


class Response:
    """A response on its way to the client."""

    __slots__ = ("headers", "raw")

    def __init__(self, raw: ResponseHeaders) -> None:
        self.raw = raw
        self.headers = Headers(raw)

    @property
    def status(self) -> int:
        """Such as 200."""
        return self.raw.status

    @status.setter
    def status(self, value: int) -> None:
        if not 200 <= value <= 599:
            raise ValueError(f"not a status of a response: {value}")
        self.raw.status = value

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in the upstream's place. gRPC clients get a gRPC status.

    Args:
        details: response_code_details of the access log.
    """

    status: int
    body: str | bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    details: str = "python_filter"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a cluster answered to `HttpFilter.fetch`."""

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class FetchError(Exception):
    """A cluster did not answer.

    Args:
        details: why, as response_code_details say it.
        status: that a client would be answered with.
    """

    def __init__(self, message: str, details: str, status: int) -> None:
        super().__init__(message)
        self.details = details
        self.status = status


class Stream(Protocol):
    """What an `HttpFilter` has its powers from; the proxy's."""

    @property
    def config(self) -> Any:
        """Settings that hold for the request."""

    @property
    def stats(self) -> Scope:
        """The filter's own stats."""

    @property
    def log(self) -> logging.Logger:
        """The filter's log."""

    def fetch(
        self, cluster: str, path: str, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Awaitable[Answer]:
        """Ask a cluster."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""

    def set_metadata(self, values: dict[str, Any]) -> None:
        """Leave values for logs and other filters."""

    @property
    def client_address(self) -> str:
        """Who asks."""


class HttpFilter(Generic[C]):
    """One request and its response. Override the steps you need; others cost nothing. Each stream has its own object.

    `on_request`, `on_response`, `on_request_body` and `on_response_body` may be ``async def``: the message waits,
    others do not. What a step raises costs its stream alone (500, or a reset), and is logged.
    """

    _stream: Stream

    def on_request(self, request: Request) -> Reply | Awaitable[Reply | None] | None:
        """The request's headers. A `Reply` is the answer, and the upstream is not asked."""

    def on_request_data(self, data: bytes, end: bool) -> bytes | None:
        """A piece of the request's body; `end` says that it is the last. What is returned goes on in its place."""

    def on_request_body(self, request: Request, body: bytes) -> bytes | Reply | Awaitable[bytes | Reply | None] | None:
        """The whole body, where there is one; headers wait for it, and may still be changed. Longer than the
        connection's buffer limit: 413. What is returned goes on in its place."""

    def on_request_trailers(self, trailers: Headers) -> None:
        """The request's trailers."""

    def on_response(self, response: Response) -> Reply | Awaitable[Reply | None] | None:
        """The response's headers, the upstream's or those of another filter's reply."""

    def on_response_data(self, data: bytes, end: bool) -> bytes | None:
        """A piece of the response's body."""

    def on_response_body(
        self, response: Response, body: bytes
    ) -> bytes | Reply | Awaitable[bytes | Reply | None] | None:
        """The whole body, where there is one. Longer than the buffer limit: 500."""

    def on_response_trailers(self, trailers: Headers) -> None:
        """The response's trailers."""

    def on_end(self) -> None:
        """The stream is over, however it ended. Called once."""

    @property
    def config(self) -> C:
        """The route's settings for this filter where it has any, else the filter's own."""
        return self._stream.config  # type: ignore[no-any-return]

    @property
    def stats(self) -> Scope:
        """``self.stats.counter("seen").inc()`` counts ``http.<stat_prefix>.python.<class>.seen``."""
        return self._stream.stats

    @property
    def log(self) -> logging.Logger:
        """The proxy's log, component ``filter``."""
        return self._stream.log

    @property
    def client_address(self) -> str:
        """Who asks, as x-forwarded-for and the listener's settings say; without the port."""
        return self._stream.client_address

    def set_metadata(self, **values: Any) -> None:
        """Leave values for logs (``%DYNAMIC_METADATA(<filter's name>:key)%``) and for other filters."""
        self._stream.set_metadata(values)

    async def fetch(
        self,
        cluster: str,
        path: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 the proxy's own timer, not asyncio's
    ) -> Answer:
        """Ask a cluster of the configuration; `timeout` in seconds, 0 is no limit.

        Errors: FetchError where there is no answer: no such cluster, no host, a timeout, a reset.
        """
        return await self._stream.fetch(cluster, path, method, headers or {}, body, timeout)

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        await self._stream.sleep(seconds)


class Bytes(Protocol):
    """What a `NetworkFilter` has its powers from; the proxy's."""

    config: Any
    stats: Scope
    log: logging.Logger

    def write(self, data: bytes) -> None:
        """To the peer."""

    def close(self) -> None:
        """The connection."""

    @property
    def client_address(self) -> str:
        """The peer."""


class NetworkFilter(Generic[C]):
    """One connection's bytes, before the filter that ends its chain. What a step raises costs the connection."""

    _stream: Bytes

    def on_connect(self) -> None:
        """The connection is usable."""

    def on_data(self, data: bytes, end: bool) -> bytes | None:
        """Bytes from the peer; `end` says that it sends no more. What is returned goes on in their place."""

    def on_write(self, data: bytes, end: bool) -> bytes | None:
        """Bytes for the peer."""

    def on_end(self) -> None:
        """The connection is over. Called once."""

    @property
    def config(self) -> C:
        """The filter's settings."""
        return self._stream.config  # type: ignore[no-any-return]

    @property
    def stats(self) -> Scope:
        """``self.stats.counter("seen").inc()`` counts ``listener.<address>.python.<class>.seen``."""
        return self._stream.stats

    @property
    def log(self) -> logging.Logger:
        """The proxy's log, component ``filter``."""
        return self._stream.log

    @property
    def client_address(self) -> str:
        """The peer's address, without the port."""
        return self._stream.client_address

    def write(self, data: bytes) -> None:
        """Send bytes to the peer."""
        self._stream.write(data)

    def close(self) -> None:
        """End the connection when what was written is out."""
        self._stream.close()


class LogEntry:
    """What is known of a request, or of a connection, at its end."""

    __slots__ = ("_context",)

    def __init__(self, context: FormatterContext) -> None:
        self._context = context

    def format(self, text: str) -> str:
        """Envoy's format string for this entry, such as ``%RESPONSE_CODE% %DURATION%``. Errors: ValueError."""
        formatter = _FORMATS.get(text)
        if formatter is None:
            if len(_FORMATS) >= _MOST_FORMATS:  # texts that are made for each entry must not fill the memory
                _FORMATS.clear()
            formatter = _FORMATS[text] = Formatter(text)
        return to_text(formatter.format(self._context))

    @property
    def request(self) -> Request | None:
        """The request's headers; None of a connection."""
        return None if self._context.request is None else Request(self._context.request)

    @property
    def response(self) -> Response | None:
        """The response's headers; None where there was none."""
        return None if self._context.response is None else Response(self._context.response)


class AccessLogger(Generic[C]):
    """An access log: one object for each place in the configuration, as long as its file stays as it is.

    Attributes:
        config, stats, log: as a filter's; stats are ``access_logs.python.<class>.``.
    """

    config: C
    stats: Scope
    log: logging.Logger

    def on_log(self, entry: LogEntry) -> str | None:
        """A request or a connection is over. The text that is returned is a line of the file at `path`, where the
        configuration names one."""
