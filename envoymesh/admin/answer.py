"""AnswerWriter: makes and writes one long answer, a little in each turn of the loop. It must not know any endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from envoymesh.admin.messages import Preparation, Response
from envoymesh.http.filter import StreamDecoderFilterCallbacks, WatermarkListener
from envoymesh.http.headers import ResponseHeaders
from envoymesh.network.loop.slices import Slices

CHUNK: Final = 1 << 15
"""Characters that are collected before they are written: enough that a chunk's own cost does not show."""

_DETAILS: Final = "admin_filter_response"
_DONE: Final = object()


def write_whole(callbacks: StreamDecoderFilterCallbacks, response: Response, body: str) -> None:
    """An answer in one piece."""
    # As in Envoy the body is a stream, also where it is empty: HTTP/1 answers are chunked.
    callbacks.encode_headers(_response_headers(response), False, _DETAILS)
    callbacks.encode_data(body.encode(), True)


def _response_headers(response: Response) -> ResponseHeaders:
    fields = [
        (b"content-type", response.content_type.encode()),
        (b"cache-control", b"no-cache, max-age=0"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return ResponseHeaders(response.status, fields)


class AnswerWriter(WatermarkListener):
    """Takes steps while somebody wants the answer: none while the client does not read what it has been sent.

    Args:
        wants_body: a HEAD request does not; then none is made.
    """

    __slots__ = ("_callbacks", "_full", "_slices", "_steps", "_under_way")

    def __init__(
        self, callbacks: StreamDecoderFilterCallbacks, slices: Slices, answer: Response | Preparation, wants_body: bool
    ) -> None:
        self._callbacks = callbacks
        self._slices = slices
        self._steps = self._make(answer, wants_body)
        self._full = 0
        self._under_way = False

    def begin(self) -> None:
        """Begin in a later turn."""
        self._callbacks.add_downstream_watermark_callbacks(self)
        self._go_on()

    def stop(self) -> None:
        """The stream is gone: take no more steps."""
        self._steps = iter(())

    def on_above_write_buffer_high_watermark(self) -> None:
        """The client reads more slowly than the answer is made: take no steps."""
        self._full += 1

    def on_below_write_buffer_low_watermark(self) -> None:
        """The client has caught up: take steps again."""
        self._full -= 1
        self._go_on()

    def _go_on(self) -> None:
        if not self._under_way and not self._full:
            self._under_way = True
            self._slices.add(self._while_wanted())

    def _while_wanted(self) -> Iterator[None]:
        try:
            while not self._full and next(self._steps, _DONE) is not _DONE:
                yield
        except Exception:
            # Where the answer has begun, it ends here, unfinished. The loop reports the exception.
            self._callbacks.send_local_reply(500, b"Internal Server Error", "admin_answer_failed")
            raise
        finally:
            self._under_way = False

    def _make(self, answer: Response | Preparation, wants_body: bool) -> Iterator[None]:
        response = answer if isinstance(answer, Response) else (yield from answer)
        pieces = response.body
        if isinstance(pieces, str) or not wants_body:
            write_whole(self._callbacks, response, pieces if isinstance(pieces, str) else "")
            return
        kept: list[str] = []
        size = 0
        begun = False
        for piece in pieces:
            kept.append(piece)
            size += len(piece)
            if size >= CHUNK:
                if not begun:
                    self._callbacks.encode_headers(_response_headers(response), False, _DETAILS)
                    begun = True
                self._callbacks.encode_data("".join(kept).encode(), False)
                kept.clear()
                size = 0
            yield
        if begun:
            self._callbacks.encode_data("".join(kept).encode(), True)
        else:
            write_whole(self._callbacks, response, "".join(kept))
