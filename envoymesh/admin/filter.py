"""The admin as an HTTP filter: the last of the admin listener's chain, which answers every request itself.

It gathers the request, asks `Admin` and writes the answer. It must not know any endpoint.
"""

from collections.abc import Callable

from envoymesh.admin.answer import AnswerWriter, write_whole
from envoymesh.admin.guard import Sender, is_loopback
from envoymesh.admin.messages import FORM, Preparation, Request, Response, parse_params, parse_target
from envoymesh.admin.registry import Admin
from envoymesh.http.filter import (
    FilterChainFactoryCallbacks,
    FilterDataStatus,
    FilterFactory,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamFilter,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders
from envoymesh.network.api import Connection
from envoymesh.network.loop.slices import Slices

MAX_BODY = 1 << 20
"""Bytes of request body that are kept; a longer one is answered 413."""

Gather = Callable[[Callable[[], None]], None]
"""Brings what workers count up to date, then calls back: at once, or later."""


def _nothing_to_gather(then: Callable[[], None]) -> None:
    then()


class AdminFilter(StreamFilter):
    """Answers one admin request when all of it has come and, where the answer shows counts, when these are gathered."""

    __slots__ = ("_admin", "_body", "_destroyed", "_gather", "_headers", "_slices", "_writer")

    def __init__(self, admin: Admin, slices: Slices, gather: Gather) -> None:
        self._admin = admin
        self._slices = slices
        self._gather = gather
        self._destroyed = False
        self._body = bytearray()
        self._headers: RequestHeaders | None = None
        self._writer: AnswerWriter | None = None

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Keep the headers; answer when there is no body."""
        self._headers = headers
        if end_stream:
            self._answer()
        return FilterHeadersStatus.STOP

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Keep the body, within bounds; answer at its end."""
        if self._headers is None:
            return FilterDataStatus.STOP_NO_BUFFER
        self._body += data
        if len(self._body) > MAX_BODY:
            self._headers = None
            self.decoder_callbacks.send_local_reply(413, b"Payload Too Large", "request_payload_too_large")
        elif end_stream:
            self._answer()
        return FilterDataStatus.STOP_NO_BUFFER

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """Trailers end the request; what they say does not matter."""
        if self._headers is not None:
            self._answer()
        return FilterTrailersStatus.STOP

    def _answer(self) -> None:
        assert self._headers is not None
        request = _request(self._headers, bytes(self._body), self.decoder_callbacks.connection)
        self._headers = None
        if refused := self._admin.refused(request):
            self._write(request, refused)
        elif self._admin.prepare(request, lambda: self._gather(lambda: self._write(request, None))):
            pass  # it calls back
        elif self._admin.shows_counts(request):
            self._gather(lambda: self._write(request, None))
        elif self._admin.changes(request):
            # A worker does what it is told in order: when it has answered the question that `gather` asks, it has
            # carried out the change. So OK is sent only when every worker has.
            response = self._admin.handle(request)
            self._gather(lambda: self._write(request, response))
        else:
            self._write(request, None)

    def on_destroy(self) -> None:
        """The stream is gone: an answer that is still being gathered or made is dropped."""
        self._destroyed = True
        if self._writer is not None:
            self._writer.stop()
            self._writer = None

    def _write(self, request: Request, answer: Response | Preparation | None) -> None:
        """Write an answer, which is the admin's where it is None."""
        if self._destroyed:
            return
        if answer is None:
            try:
                answer = self._admin.handle(request)
            except Exception as error:  # noqa: BLE001 who gathers or prepares calls back from elsewhere
                self.decoder_callbacks.on_exception("an admin answer", error)
                return
        if isinstance(answer, Response) and isinstance(answer.body, str):
            write_whole(self.decoder_callbacks, answer, answer.body)
        else:
            self._writer = AnswerWriter(self.decoder_callbacks, self._slices, answer, request.method != "HEAD")
            self._writer.begin()


def admin_filter_factory(admin: Admin, slices: Slices, gather: Gather = _nothing_to_gather) -> FilterFactory:
    """The factory that ends the admin listener's filter chain.

    Args:
        slices: where long answers are made.
        gather: for a server whose workers are processes.
    """

    def create(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_decoder_filter(AdminFilter(admin, slices, gather))

    return create


def _request(headers: RequestHeaders, body: bytes, connection: Connection) -> Request:
    target = headers.path.decode("utf-8", "replace")
    path, params = parse_target(target)
    media_type = (headers.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    if not params and media_type == FORM.encode():
        params = parse_params(body.decode("utf-8", "replace"))
    return Request(headers.method.decode("ascii", "replace"), path, params, target, _sender(headers, connection))


def _sender(headers: RequestHeaders, connection: Connection) -> Sender:
    def text(name: bytes) -> str:
        return (headers.joined(name) or b"").decode("utf-8", "replace")

    address = connection.local_address
    return Sender(
        host=(headers.authority or b"").decode("utf-8", "replace"),
        origin=text(b"origin"),
        fetch_site=text(b"sec-fetch-site"),
        fetch_dest=text(b"sec-fetch-dest"),
        # A browser cannot be led to a Unix domain socket.
        over_loopback=address is not None and bool(address.ip) and is_loopback(address.ip),
    )
