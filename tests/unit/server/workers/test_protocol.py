"""Frames: whole messages come out, however the bytes were cut."""

from hypothesis import given
from hypothesis import strategies as st

from envoymesh.admin.views import ClusterStatus, HostStatus, MemoryUsage, SocketAddress, Thresholds
from envoymesh.options import Options
from envoymesh.server.workers.protocol import (
    Answer,
    Ask,
    Command,
    Failed,
    FrameReader,
    Message,
    Start,
    Started,
    Verb,
    encode,
)
from envoymesh.server.workers.snapshot import Snapshot
from envoymesh.stats.image import HistogramImage, StoreImage

STATS = StoreImage({"c": 1}, {"g": 2}, {"c"}, {"t": "x"}, {"h": HistogramImage("ms", {1: 1}, {1: 2})})
HOST = HostStatus(SocketAddress("127.0.0.1", 80), {"cx_total": 3}, {"cx_active": 1})
CLUSTERS = [ClusterStatus("x", "x", Thresholds(), Thresholds(), [HOST])]
ONE_OF_EACH: list[Message] = [
    Start(1, Options(concurrency=2), b"\0\xff", ((3, 4), ()), (Command(Verb.FAIL_HEALTH_CHECK, (True,)),)),
    Started(),
    Failed("why"),
    Ask(7),
    Answer(7, Snapshot(STATS, CLUSTERS, MemoryUsage(1, 2, 3), 4)),
    Command(Verb.MODIFY_RUNTIME, ({"a": "b"},)),
]


@given(st.lists(st.integers(1, 400), max_size=20))
def test_messages_survive_any_cuts(sizes: list[int]) -> None:
    data = b"".join(map(encode, ONE_OF_EACH))
    reader = FrameReader()
    got: list[Message] = []
    for size in sizes:
        got += reader.feed(data[:size])
        data = data[size:]
    got += reader.feed(data)
    assert got == ONE_OF_EACH


def test_an_unfinished_frame_gives_nothing() -> None:
    reader = FrameReader()
    frame = encode(Ask(1))
    assert reader.feed(frame[:-1]) == []
    assert reader.feed(b"") == []
    assert reader.feed(frame[-1:] + encode(Ask(2))) == [Ask(1), Ask(2)]
