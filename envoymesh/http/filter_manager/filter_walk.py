"""The way of a message through the filters of one direction (Envoy's `FilterManager`).

Rules:
- Filters are called in the order of the handles; one that has no step of its own for headers or data is left out.
- A filter that stopped gets the data that follows, until it continues (or none of it: STOP_ALL_*); what is kept for it
  is passed on to the filters behind it when it does: headers first, then data, then trailers.
- A filter that stopped and then lets data or trailers pass goes on, with all that was kept: also where it has no step
  for them, for the base class lets them pass.
- After every call into a filter the stream may be gone (`over`): nothing is touched then.
- What a filter raises is caught here, at the step that called it, and costs its stream (`on_exception`): what is above
  belongs to other streams too, be it the client's connection or the upstream's.

This module knows no codec and no route.
"""

from __future__ import annotations

from abc import abstractmethod

from envoymesh.http.filter import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus
from envoymesh.http.filter_manager.filter_handle import FilterChainStream, FilterHandle, Walk
from envoymesh.http.headers import HeaderMap


class FilterWalk(Walk):
    """One direction of a chain.

    Attributes:
        handles: of this direction's filters.
        headers_places, data_places: which of them have a step of their own (see `ChainPlan`).
        over: no filter is to see anything more.
    """

    __slots__ = (
        "_headers",
        "_places",
        "_trailers",
        "data_places",
        "handles",
        "headers_places",
        "over",
        "stream",
    )

    def __init__(self, stream: FilterChainStream) -> None:
        self.stream = stream
        self.handles: list[FilterHandle] = []
        self.headers_places: tuple[int, ...] = ()
        self.data_places: tuple[int, ...] = ()
        self.over = False
        self._headers: HeaderMap | None = None
        self._trailers: HeaderMap | None = None
        self._places: tuple[int, ...] = ()  # which filters see data: those of data_places, or all

    def follow(self, headers_places: tuple[int, ...], data_places: tuple[int, ...]) -> None:
        """The filters were added: take the places of those that have steps of their own."""
        self.headers_places = headers_places
        self.data_places = self._places = data_places

    # What comes to the end of the way

    @abstractmethod
    def deliver_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Headers or trailers have passed every filter."""

    @abstractmethod
    def deliver_data(self, data: bytes, end_stream: bool) -> None:
        """Data has passed every filter."""

    @abstractmethod
    def deliver_trailers(self, trailers: HeaderMap) -> None:
        """Headers or trailers have passed every filter."""

    def pass_interim(self, start: int) -> bool:
        """Pass an interim response on that a filter had stopped; tells whether the final one is here too."""
        return True

    # Headers

    def pass_headers(self, headers: HeaderMap, end_stream: bool, start: int = 0) -> None:
        """Pass headers on, from the filter at `start`."""
        self._headers = headers
        adding: FilterHandle | None = None
        try:
            for place in self.headers_places:
                if place < start:
                    continue
                handle = self.handles[place]
                handle.ends_stream = end_stream
                status = handle.headers_step(headers, end_stream)
                if self.over:
                    return
                handle.ends_stream = False
                if status is not FilterHeadersStatus.CONTINUE:
                    if status is not FilterHeadersStatus.CONTINUE_AND_DONT_END_STREAM:
                        self._hold_headers(handle, status, end_stream)
                        break
                    end_stream = False
                if end_stream and handle.busy:
                    # The filter adds a body, or trailers: they come behind the headers, and end the message.
                    end_stream = False
                    adding = handle
            else:
                self.deliver_headers(headers, end_stream)
            if adding is not None and not self.over:
                self._hold_end(adding, True)
                adding.stopped = True
                self.resume(adding)
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self._fail("headers", error)

    def _hold_headers(self, handle: FilterHandle, status: FilterHeadersStatus, end_stream: bool) -> None:
        handle.stopped = handle.headers_held = True
        handle.stopped_all = status is not FilterHeadersStatus.STOP
        if handle.stopped_all:
            handle.streaming = status is FilterHeadersStatus.STOP_ALL_AND_WATERMARK
        self._hold_end(handle, end_stream)
        handle.set_busy()

    def _hold_end(self, handle: FilterHandle, end_stream: bool) -> None:
        """The message ends here: with the last data, or with trailers that the filter has added."""
        trailers = handle.added_trailers
        if trailers is None:
            handle.end_held = end_stream
        else:
            handle.added_trailers = None
            handle.trailers_held = True
            self._trailers = trailers

    # Data

    def pass_data(self, data: bytes, end_stream: bool, start: int = 0) -> None:
        """Pass data on, from the filter at `start`."""
        if self.over:
            return
        adding: FilterHandle | None = None
        try:
            for place in self._places:
                if place < start:
                    continue
                handle = self.handles[place]
                if handle.stopped_all:
                    handle.end_held = end_stream
                    handle.keep(data)
                    break
                handle.piece = data
                handle.ends_stream = end_stream
                status = handle.data_step(data, end_stream)
                if self.over:
                    return
                handle.ends_stream = False
                if status is not FilterDataStatus.CONTINUE or handle.stopped:
                    self._hold_data(handle, status, data, end_stream)
                    break
                if handle.busy:
                    # It has changed the data, or added to it.
                    data = self._settle(handle, data)
                    if handle.added_trailers is not None:
                        end_stream = False
                        adding = handle
                handle.piece = None
            else:
                self.deliver_data(data, end_stream)
            if adding is not None and not self.over:
                self._pass_added_trailers(adding)
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self._fail("data", error)

    def _settle(self, handle: FilterHandle, data: bytes) -> bytes:
        """What a filter that has not stopped passes on in the place of a piece."""
        moved = handle.piece is None
        kept = handle.take()
        handle.busy = handle.added_trailers is not None
        self._look_again()
        handle.release()
        if kept is None:
            return data
        return kept if moved else kept + data

    def _hold_data(self, handle: FilterHandle, status: FilterDataStatus, data: bytes, end_stream: bool) -> None:
        moved = handle.piece is None
        handle.piece = None
        handle.stopped = True
        handle.set_busy()
        if not handle.end_passed:
            self._hold_end(handle, end_stream)
        if status is FilterDataStatus.STOP_NO_BUFFER:
            # As in Envoy the end, where it came with data, goes on as an empty piece and not with the headers.
            if handle.end_held and handle.pieces is None:
                handle.keep(b"")
            return
        if status is not FilterDataStatus.CONTINUE:
            handle.streaming = status is FilterDataStatus.STOP_AND_WATERMARK
        if moved:
            handle.check_limit()
        else:
            handle.keep(data)
        if status is FilterDataStatus.CONTINUE:
            self.resume(handle)

    def _pass_added_trailers(self, handle: FilterHandle) -> None:
        trailers = handle.added_trailers
        handle.added_trailers = None
        handle.busy = handle.stopped
        self._look_again()
        if trailers is not None:
            self.pass_trailers(trailers, handle.index + 1)

    def inject(self, handle: FilterHandle, data: bytes, end_stream: bool) -> None:
        """A filter has data for the filters behind it."""
        if self.over:
            return
        if handle.headers_held and self._headers is not None:
            handle.headers_held = False
            self.pass_headers(self._headers, False, handle.index + 1)
        if end_stream:
            handle.end_passed = True
            handle.end_held = False
        self.pass_data(data, end_stream, handle.index + 1)

    # Trailers

    def pass_trailers(self, trailers: HeaderMap, start: int = 0) -> None:
        """Pass trailers on, from the filter at `start`."""
        if self.over:
            return
        self._trailers = trailers
        try:
            for handle in self.handles[start:] if start else self.handles:
                if handle.stopped_all:
                    handle.trailers_held = True
                    return
                status = handle.trailers_step(trailers)
                if self.over:
                    return
                if status is not FilterTrailersStatus.CONTINUE or handle.stopped:
                    handle.stopped = handle.trailers_held = True
                    handle.set_busy()
                    if status is FilterTrailersStatus.CONTINUE:
                        self.resume(handle)
                    return
                if handle.busy:
                    self.pass_data(self._settle(handle, b""), False, handle.index + 1)
                    if self.over:
                        return
            self.deliver_trailers(trailers)
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self._fail("trailers", error)

    # Going on

    def resume(self, handle: FilterHandle) -> None:
        """Go on behind a filter that stopped: headers, kept data, trailers, as far as each has come to it."""
        if not handle.stopped or self.over:
            return
        following = handle.index + 1
        # A filter that answered STOP_ALL_* has not seen the data yet, and gets it first.
        start = handle.index if handle.stopped_all else following
        headers_held, end, trailers_held = handle.headers_held, handle.end_held, handle.trailers_held
        handle.stopped = handle.stopped_all = handle.busy = False
        handle.headers_held = handle.end_held = handle.trailers_held = False
        data = handle.take()
        self._look_again()
        if handle.interim_held:
            handle.interim_held = False
            if not self.pass_interim(following):
                return
        if headers_held and self._headers is not None and not self.over:
            headers_end = end and data is None
            self.pass_headers(self._headers, headers_end, following)
            end = end and not headers_end
        if (data is not None or end) and not self.over:
            self.pass_data(b"" if data is None else data, end, start)
        if trailers_held and self._trailers is not None and not self.over:
            self.pass_trailers(self._trailers, start)
        if not self.over:
            handle.release()

    def note_busy(self, handle: FilterHandle) -> None:
        """A filter that has no step for data has stopped, or has data to pass on: from now on data must come to it."""
        if handle.index not in self.data_places:
            self._places = tuple(range(len(self.handles)))

    def _look_again(self) -> None:
        if self._places is not self.data_places and all(
            not each.busy or each.index in self.data_places for each in self.handles
        ):
            self._places = self.data_places

    def _fail(self, what: str, error: Exception) -> None:
        self.over = True
        self.stream.on_exception(self.name_of(what), error)

    @abstractmethod
    def name_of(self, what: str) -> str:
        """The name of a filter's step, for the log."""
