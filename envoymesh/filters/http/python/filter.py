"""Leads one stream through a user's filter (`envoymesh.api.HttpFilter`).

It has one `Side` for each direction, which says what becomes of a message; `PythonFilter` says it to the filter chain.
Which steps the chain calls depends on those that the user's class has (`filter_class`). It must not know files.
"""

from __future__ import annotations

import inspect
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from envoymesh.api import Answer, FetchError, Headers, HttpFilter, Reply, Request, Response, to_bytes
from envoymesh.http.filter import (
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilterCallbacks,
    StreamEncoderFilterCallbacks,
    StreamFilter,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.scripting.script import Loaded, RouteSettings, ScriptError
from envoymesh.scripting.waiting import Running, Wait
from envoymesh.stats import Scope
from envoymesh.upstream.client import (
    AsyncClient,
    AsyncRequest,
    AsyncRequestListener,
    RequestMessage,
    ResponseMessage,
    StreamOptions,
)
from envoymesh.upstream.cluster_manager import ClusterManager
from envoymesh.upstream.failures import UpstreamFailure

_log = logging.getLogger("envoymesh.filter")

NOBODY: Final[HttpFilter[Any]] = HttpFilter()
"""Stands where a stream is over."""

MUST_NOT_WAIT: Final = ("on_request_data", "on_request_trailers", "on_response_data", "on_response_trailers", "on_end")
"""The steps that must not be ``async def``."""


def has(made: type, step: str) -> bool:
    """Whether a user's class has a step of its own."""
    return getattr(made, step) is not getattr(HttpFilter, step)


def check_class(made: type) -> None:
    """Refuse what cannot work. Errors: ScriptError."""
    for step in MUST_NOT_WAIT:
        if inspect.iscoroutinefunction(getattr(made, step)):
            raise ScriptError(f"{made.__name__}.{step} must not be async", getattr(made, step).__code__.co_firstlineno)
    for side in ("request", "response"):
        if has(made, f"on_{side}_data") and has(made, f"on_{side}_body"):
            raise ScriptError(f"{made.__name__} has both on_{side}_data and on_{side}_body: a body comes in one way")


def class_of_functions(name: str, functions: dict[str, Any]) -> type:
    """A filter class of the functions of a file: of one argument (the message), or of two (the message, the filter)."""
    return type(name, (HttpFilter,), {step: _as_method(function) for step, function in functions.items()})


def _as_method(function: Any) -> Any:
    takes_filter = len(inspect.signature(function).parameters) > 1
    if inspect.iscoroutinefunction(function):

        async def wait(self: HttpFilter[Any], message: Any) -> Any:
            return await (function(message, self) if takes_filter else function(message))

        return wait

    def call(self: HttpFilter[Any], message: Any) -> Any:
        return function(message, self) if takes_filter else function(message)

    return call


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all streams of one filter share.

    Args:
        scope: ``http.<stat_prefix>.python.``.
    """

    clusters: ClusterManager
    client: AsyncClient
    scope: Scope


class Side:
    """One direction of one stream.

    Attributes:
        waiting: a coroutine of the user's is under way.
        collecting: the body is kept until it is whole.
    """

    __slots__ = ("_head", "_on_body", "_on_data", "_on_head", "_on_trailers", "_replied", "_stream", "_trailers",
                 "collecting", "complete", "message", "running", "waiting")  # fmt: skip

    def __init__(self, stream: PythonFilter, which: str) -> None:
        user = stream.user
        steps = type(user)
        self._stream = stream
        self._on_head: Callable[[Any], Any] = getattr(user, f"on_{which}")
        self._on_data = getattr(user, f"on_{which}_data") if has(steps, f"on_{which}_data") else None
        self._on_body = getattr(user, f"on_{which}_body") if has(steps, f"on_{which}_body") else None
        self._on_trailers = getattr(user, f"on_{which}_trailers")
        self._trailers: HeaderMap | None = None
        self._replied = False
        self.message: Any = None
        self.collecting = False
        self.complete = False
        self.waiting = False
        self.running: Running | None = None

    # What the two directions do differently

    @property
    @abstractmethod
    def kept(self) -> bytes:
        """What is kept of the body."""

    @abstractmethod
    def replace(self, body: bytes) -> None:
        """Put another body in the place of what came."""

    @abstractmethod
    def go_on(self) -> None:
        """Resume the message."""

    # The chain's steps

    def headers(self, message: Any, end_stream: bool) -> FilterHeadersStatus:
        """The message begins."""
        self.message = message
        self.collecting = self._on_body is not None and not end_stream
        if self._on_data is not None and not end_stream:
            message.raw.remove(b"content-length")  # pieces may change their length, and the first one is to come
        self._call(partial(self._on_head, message), self._after_head)
        if self._replied:
            return FilterHeadersStatus.STOP
        if self.collecting:
            return FilterHeadersStatus.STOP
        return FilterHeadersStatus.STOP_ALL_AND_WATERMARK if self.waiting else FilterHeadersStatus.CONTINUE

    def data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """A piece of the body."""
        if self.collecting:
            return self._collect(data, end_stream)
        if self._on_data is not None:
            changed = self._on_data(data, end_stream)
            if changed is not None and changed != data:
                self.replace(_body(changed))
        return FilterDataStatus.CONTINUE

    def _collect(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        if self._replied:
            return FilterDataStatus.STOP_NO_BUFFER
        self.complete = end_stream
        if not end_stream or self.waiting:
            return FilterDataStatus.STOP_AND_BUFFER
        self._give_body(self.kept + data)
        return self._after_data()

    def _after_data(self) -> FilterDataStatus:
        if self._replied:
            return FilterDataStatus.STOP_NO_BUFFER
        return FilterDataStatus.STOP_AND_BUFFER if self.waiting else FilterDataStatus.CONTINUE

    def trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The message ends."""
        self._trailers = trailers
        if self.collecting and not self.complete:
            self.complete = True
            if not self.waiting and not self._replied:
                self._give_body(self.kept)
        if self.waiting or self._replied:
            return FilterTrailersStatus.STOP
        self._give_trailers()
        return FilterTrailersStatus.CONTINUE

    # The user's

    def _call(self, step: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Call a step and go on with what it returned, now or when it is awaited to its end."""
        found = step()
        if not inspect.iscoroutine(found):
            then(found)
            return
        self.waiting = True
        begun = [True]

        def end(value: Any) -> None:
            self.waiting, self.running = False, None
            then(value)
            if not begun and not self.waiting and not self._replied and (not self.collecting or self.complete):
                self._resume()

        self.running = Running(
            found, self._stream.decoder_callbacks.dispatcher.post, partial(self._guarded, end), self._raised
        )
        self.running.step()
        begun.clear()

    def _guarded(self, end: Callable[[Any], None], value: Any) -> None:
        try:
            end(value)
        except Exception as error:  # noqa: BLE001 it costs this stream
            self._raised(error)

    def _raised(self, error: Exception) -> None:
        self._replied = True
        self.running = None
        self._stream.decoder_callbacks.on_exception(f"{self._stream.user!r}", error)

    def _resume(self) -> None:
        if self._trailers is not None:
            self._give_trailers()
        self.go_on()

    def _after_head(self, found: Any) -> None:
        if found is not None:
            self._reply(found)
        elif self.complete and self.collecting:
            self._give_body(self.kept)

    def _give_body(self, body: bytes) -> None:
        assert self._on_body is not None
        self._call(partial(self._on_body, self.message, body), self._after_body)

    def _after_body(self, found: Any) -> None:
        if isinstance(found, Reply):
            self._reply(found)
        elif found is not None:
            body = _body(found)
            self.message.raw.set(b"content-length", b"%d" % len(body))
            self.replace(body)

    def _give_trailers(self) -> None:
        trailers, self._trailers = self._trailers, None
        if trailers is not None:
            self._on_trailers(Headers(trailers))

    def _reply(self, found: Any) -> None:
        if not isinstance(found, Reply):
            raise TypeError(f"a filter returns None or a Reply, not {found!r}")
        self._replied = True
        self._stream.reply(found)

    def close(self) -> None:
        """The stream is gone."""
        running, self.running = self.running, None
        self._replied = True
        if running is not None:
            running.close()


def _body(found: Any) -> bytes:
    if isinstance(found, bytes | bytearray | memoryview):
        return bytes(found)
    raise TypeError(f"a body is bytes, not {found!r}")


class RequestSide(Side):
    """The request."""

    __slots__ = ()

    @property
    def kept(self) -> bytes:
        """What is kept of the body."""
        return self._stream.decoder_callbacks.decoding_buffer

    def replace(self, body: bytes) -> None:
        """Put another body in the place of what came."""
        self._stream.decoder_callbacks.modify_decoding_buffer(lambda _: body)

    def go_on(self) -> None:
        """Resume the request."""
        self._stream.decoder_callbacks.continue_decoding()


class ResponseSide(Side):
    """The response."""

    __slots__ = ()

    @property
    def kept(self) -> bytes:
        """What is kept of the body."""
        return self._stream.encoder_callbacks.encoding_buffer

    def replace(self, body: bytes) -> None:
        """Put another body in the place of what came."""
        self._stream.encoder_callbacks.modify_encoding_buffer(lambda _: body)

    def go_on(self) -> None:
        """Resume the response."""
        self._stream.encoder_callbacks.continue_encoding()


class PythonFilter(StreamFilter):
    """One stream; implements `envoymesh.api.Stream`. It has the steps that every user's filter needs: those of messages
    are in subclasses (`filter_class`)."""

    __slots__ = ("_loaded", "_request", "_response", "_surroundings", "_waits", "user")

    def __init__(self, surroundings: Surroundings, loaded: Loaded) -> None:
        self._surroundings = surroundings
        self._loaded = loaded
        self._waits: set[Wait[Any]] = set()
        self._request: RequestSide | None = None
        self._response: ResponseSide | None = None
        self.user: HttpFilter[Any] = loaded.cls()
        self.user._stream = self

    def set_decoder_filter_callbacks(self, callbacks: StreamDecoderFilterCallbacks) -> None:
        """Called once, before any step."""
        self.decoder_callbacks = callbacks
        self._request = RequestSide(self, "request")

    def set_encoder_filter_callbacks(self, callbacks: StreamEncoderFilterCallbacks) -> None:
        """Called once, before any step."""
        self.encoder_callbacks = callbacks
        self._response = ResponseSide(self, "response")

    def on_destroy(self) -> None:
        """Nobody waits any more."""
        for side in (self._request, self._response):
            if side is not None:
                side.close()
        for each in tuple(self._waits):
            each.cancel()
        # They know each other: nothing is to wait for the collector.
        self._request = self._response = None
        user, self.user = self.user, NOBODY
        user.on_end()

    def reply(self, reply: Reply) -> None:
        """Answer in the upstream's place."""
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body

        def change(headers: ResponseHeaders) -> None:
            view = Headers(headers)
            for name, value in reply.headers.items():
                view[name] = value

        self.decoder_callbacks.send_local_reply(reply.status, body, reply.details, change if reply.headers else None)

    # envoymesh.api.Stream

    @property
    def config(self) -> Any:
        """Settings that hold for the request."""
        own = self.decoder_callbacks.most_specific_per_filter_config
        return self._loaded.config_of(own) if isinstance(own, RouteSettings) else self._loaded.config

    @property
    def stats(self) -> Scope:
        """The filter's own stats."""
        return self._surroundings.scope.scope(f"{self._loaded.cls.__name__}.")

    @property
    def log(self) -> logging.Logger:
        """The filter's log."""
        return _log

    @property
    def client_address(self) -> str:
        """Who asks."""
        address = self.decoder_callbacks.stream_info.trusted_remote
        return "" if address is None else address.host

    def set_metadata(self, values: dict[str, Any]) -> None:
        """Leave values for logs and other filters."""
        self.decoder_callbacks.stream_info.set_dynamic_metadata(self.decoder_callbacks.filter_config_name, values)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        wait: Wait[None] = self._new_wait()
        timer = self.decoder_callbacks.create_timer(lambda: wait.succeed(None))
        wait.on_cancel(timer.disable)
        timer.enable(max(0.0, seconds))
        return wait

    def fetch(
        self, cluster: str, path: str, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Awaitable[Answer]:
        """Ask a cluster."""
        wait: Wait[Answer] = self._new_wait()
        found = self._surroundings.clusters.get(cluster)
        if found is None:
            wait.fail(FetchError(f"there is no cluster {cluster}", "cluster_not_found", 503))
            return wait
        given = Headers(HeaderMap())
        for name, value in headers.items():
            given.add(name, value)
        authority = given.pop("host", cluster)
        raw = RequestHeaders(to_bytes(method), to_bytes(path), to_bytes(authority), b"http", given.raw.fields)
        if body:
            raw.set(b"content-length", b"%d" % len(body))
        callbacks = _Fetched(wait, cluster)
        sent = self._surroundings.client.send(found, RequestMessage(raw, body), callbacks, StreamOptions(timeout))
        if sent is not None:
            wait.on_cancel(sent.cancel)
        return wait

    def _new_wait(self) -> Wait[Any]:
        wait: Wait[Any] = Wait()
        self._waits.add(wait)
        wait.add_done_callback(self._waits.discard)
        return wait


class _Fetched(AsyncRequestListener):
    """Passes an answer on to who awaits it."""

    def __init__(self, wait: Wait[Answer], cluster: str) -> None:
        self._wait = wait
        self._cluster = cluster

    def on_success(self, request: AsyncRequest, response: ResponseMessage) -> None:
        """The whole response, whatever its status."""
        self._wait.succeed(Answer(response.headers.status, Headers(response.headers), response.body))

    def on_failure(self, request: AsyncRequest, failure: UpstreamFailure) -> None:
        """There is none."""
        text = f"cluster {self._cluster} did not answer: {failure.details}"
        self._wait.fail(FetchError(text, failure.details, failure.status))


# The steps of messages: methods of classes of their own, so that the chain calls only what a user's filter has.


def _decode_headers(self: PythonFilter, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
    assert self._request is not None
    path = headers.path
    status = self._request.headers(Request(headers), end_stream)
    if headers.path != path:
        self.decoder_callbacks.clear_route_cache()
    return status


def _decode_data(self: PythonFilter, data: bytes, end_stream: bool) -> FilterDataStatus:
    assert self._request is not None
    return self._request.data(data, end_stream)


def _decode_trailers(self: PythonFilter, trailers: HeaderMap) -> FilterTrailersStatus:
    assert self._request is not None
    return self._request.trailers(trailers)


def _encode_headers(self: PythonFilter, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
    assert self._response is not None
    return self._response.headers(Response(headers), end_stream)


def _encode_data(self: PythonFilter, data: bytes, end_stream: bool) -> FilterDataStatus:
    assert self._response is not None
    return self._response.data(data, end_stream)


def _encode_trailers(self: PythonFilter, trailers: HeaderMap) -> FilterTrailersStatus:
    assert self._response is not None
    return self._response.trailers(trailers)


_HEAD: Final = {"request": ("decode_headers", _decode_headers), "response": ("encode_headers", _encode_headers)}
_DATA: Final = {"request": ("decode_data", _decode_data), "response": ("encode_data", _encode_data)}
_TRAILERS: Final = {"request": ("decode_trailers", _decode_trailers), "response": ("encode_trailers", _encode_trailers)}

_CLASSES: dict[tuple[str, ...], type[PythonFilter]] = {}


def filter_class(made: type) -> type[PythonFilter]:
    """What leads streams through a user's class: one class for each set of steps, so that there are few."""
    steps: dict[str, Any] = {}
    for side in ("request", "response"):
        head, data, body, trailers = (has(made, f"on_{side}{each}") for each in ("", "_data", "_body", "_trailers"))
        waits = inspect.iscoroutinefunction(getattr(made, f"on_{side}"))
        if head or data or body:
            steps.update([_HEAD[side]])
        if data or body:
            steps.update([_DATA[side]])
        if trailers or body or waits:
            steps.update([_TRAILERS[side]])
    key = tuple(sorted(steps))
    known = _CLASSES.get(key)
    if known is None:
        known = _CLASSES[key] = type("PythonFilter", (PythonFilter,), {"__slots__": (), **steps})
    return known
