"""Whatever happens in whatever order: one answer at most, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import HeaderMap
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.api import PoolFailureReason
from tests.support.router import FakeUpstreamStream, RouterBench

POLICY = RetryPolicy(frozenset({"5xx", "connect-failure"}), 2, per_try_timeout=0.3)


class Story:
    """One request, told event by event; an event that cannot happen now is left out."""

    def __init__(self, retry: bool, whole: bool, max_retries: int) -> None:
        action = ClusterAction("c", 1.0, retry=POLICY if retry else None)
        self.bench = RouterBench(action, limit=8, max_retries=max_retries)
        self.request_ended = whole
        self.streams: list[FakeUpstreamStream] = []
        self.started: set[FakeUpstreamStream] = set()
        self.over: set[FakeUpstreamStream] = set()
        self.events: dict[str, Callable[[], None]] = {
            "data": self.data,
            "end": self.end,
            "trailers": self.trailers,
            "leave": self.bench.destroy,
            "ready": self.ready,
            "refuse": lambda: self.refuse(PoolFailureReason.REMOTE_CONNECTION_FAILURE),
            "overflow": lambda: self.refuse(PoolFailureReason.OVERFLOW),
            "200": lambda: self.begin(200, False),
            "503": lambda: self.begin(503, False),
            "503 alone": lambda: self.begin(503, True),
            "body": lambda: self.go_on(False),
            "body's end": lambda: self.go_on(True),
            "reset": self.reset,
            "full": self.full,
            "slow client": self.slow_client,
            "wait": lambda: self.bench.dispatcher.advance(0.1),
            "wait long": lambda: self.bench.dispatcher.advance(0.5),
            "no hosts": lambda: self.bench.cluster.update_hosts([]),
        }
        self.bench.send(end_stream=whole)

    @property
    def open_request(self) -> bool:
        return not self.request_ended and not self.bench.destroyed

    def data(self) -> None:
        if self.open_request:
            self.bench.data(b"12345")

    def end(self) -> None:
        if self.open_request:
            self.request_ended = True
            self.bench.data(b"", end_stream=True)

    def trailers(self) -> None:
        if self.open_request:
            self.request_ended = True
            self.bench.filter.decode_trailers(HeaderMap([(b"a", b"b")]))

    def ready(self) -> None:
        waits = self.bench.cluster.waits
        if waits and not waits[-1].over:
            self.streams.append(self.bench.cluster.ready())

    def refuse(self, reason: PoolFailureReason) -> None:
        waits = self.bench.cluster.waits
        if waits and not waits[-1].over:
            self.bench.cluster.refuse(reason)

    def stream(self) -> FakeUpstreamStream | None:
        """The latest, as long as something can still come of it."""
        stream = self.streams[-1] if self.streams else None
        return None if stream is None or stream.reset or stream in self.over else stream

    def begin(self, status: int, end_stream: bool) -> None:
        stream = self.stream()
        if stream is not None and stream not in self.started:
            self.started.add(stream)
            if end_stream:
                self.over.add(stream)
            stream.begin(status, end_stream)

    def go_on(self, end_stream: bool) -> None:
        stream = self.stream()
        if stream is not None and stream in self.started:
            if end_stream:
                self.over.add(stream)
            stream.decoder.decode_data(b"x", end_stream)

    def reset(self) -> None:
        stream = self.stream()
        if stream is not None:
            stream.fail(StreamResetReason.CONNECTION_TERMINATION)

    def full(self) -> None:
        stream = self.stream()
        if stream is not None and stream.callbacks is not None:
            stream.callbacks.on_above_write_buffer_high_watermark()

    def slow_client(self) -> None:
        for callbacks in self.bench.client.watermarks:
            callbacks.on_above_write_buffer_high_watermark()


EVENTS = sorted(Story(retry=False, whole=True, max_retries=0).events)


@settings(max_examples=300, deadline=None)
@given(
    retry=st.booleans(),
    whole=st.booleans(),
    max_retries=st.integers(0, 1),
    names=st.lists(st.sampled_from(EVENTS), max_size=25),
)
def test_nothing_is_left_behind(retry: bool, whole: bool, max_retries: int, names: list[str]) -> None:
    story = Story(retry, whole, max_retries)
    bench = story.bench
    for name in names:
        story.events[name]()
        assert len([wait for wait in bench.cluster.waits if not wait.over]) <= 1
        live = [each for each in story.streams if each.callbacks is not None and not each.reset]
        assert len(live) <= 1, "two tries at once"
        if bench.client.status is None and not bench.destroyed:
            assert bench.dispatcher.timers or bench.cluster.waits, "nothing will ever happen"
    bench.destroy()
    bench.check_ended()
    for stream in story.streams:
        assert stream.reset or (stream in story.over and stream.ended), "a stream was forgotten"
    outcomes = sum(count for name, count in bench.host.items() if name != "timeout")
    assert outcomes <= bench.info.attempt_count
