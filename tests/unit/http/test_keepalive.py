"""Keep-alive of HTTP/2 connections: when a PING goes out, and when its answer is too late."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import frame
from envoymesh.http.http2.settings import KeepaliveSettings
from envoymesh.http.keepalive import KeepAlive, PingingClientCodec, PingingServerCodec
from tests.support.fakes import FakeDispatcher
from tests.unit.http.http2.test_client import F, frames_of


class World:
    """One connection's keep-alive."""

    def __init__(self, random: float = 0.0, **settings: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.sent: list[bytes] = []
        self.timeouts = 0
        made = KeepaliveSettings(**({"interval": 10.0, "timeout": 2.0, "jitter": 0.5} | settings))
        self.keepalive = KeepAlive(made, self.dispatcher, lambda: random, self.expire, self.sent.append)

    def expire(self) -> None:
        self.timeouts += 1


def test_a_ping_after_the_interval_and_the_next_after_its_answer() -> None:
    world = World()
    world.dispatcher.advance(9.9)
    assert world.sent == []
    world.dispatcher.advance(0.2)
    assert world.sent == [int(1_700_000_010.0 * 1000).to_bytes(8, "big")], "the time in milliseconds"
    world.keepalive.on_answer(world.sent[0])
    world.dispatcher.advance(9.0)
    assert (len(world.sent), world.timeouts) == (1, 0)
    world.dispatcher.advance(1.1)
    assert len(world.sent) == 2


def test_the_interval_is_longer_by_chance() -> None:
    world = World(random=0.5)
    world.dispatcher.advance(12.4)
    assert world.sent == []
    world.dispatcher.advance(0.2)
    assert len(world.sent) == 1


def test_no_answer_is_the_end_and_told_once() -> None:
    world = World()
    world.dispatcher.advance(60.0)
    assert (len(world.sent), world.timeouts) == (1, 1)


def test_a_pause_is_asked_about_before_the_next_stream() -> None:
    world = World(interval=0.0, idle_interval=5.0)
    world.dispatcher.advance(4.0)
    world.keepalive.before_stream()
    assert world.sent == []
    world.keepalive.on_received()
    world.dispatcher.advance(5.5)
    world.keepalive.before_stream()
    world.keepalive.before_stream()
    assert len(world.sent) == 1, "an answer is due already"


def test_nothing_after_the_end() -> None:
    world = World()
    world.dispatcher.advance(10.0)
    world.keepalive.stop()
    world.dispatcher.advance(60.0)
    world.keepalive.ping()
    assert (len(world.sent), world.timeouts) == (1, 0)


class Wire:
    """A codec's connection and callbacks, which keep what they are told."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class NoStats:
    def __getattr__(self, name: str) -> Any:
        return self

    def inc(self) -> None:
        """Nobody counts."""


@pytest.mark.interpreted_only("its wire stands for three traits at once, and derives from none")
def test_both_codecs_ask_and_take_the_answer() -> None:
    for made in (PingingClientCodec, PingingServerCodec):
        wire: Any = Wire()
        stats: Any = NoStats()
        dispatcher, expired = FakeDispatcher(), []
        settings = Http2Settings(keepalive=KeepaliveSettings(1.0, 1.0, 0.0))
        codec = made(wire, wire, settings, stats, dispatcher, lambda: 0.0, lambda: expired.append(1))  # noqa: B023
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if made is PingingServerCodec else b""
        codec.dispatch(preface + frame(F.SETTINGS, 0, 0, b""))
        wire.written = b""
        dispatcher.advance(1.5)
        (ping,) = frames_of(wire.written)
        assert ping.name == "PING"
        codec.dispatch(frame(F.PING, 1, 0, ping.payload))
        dispatcher.advance(0.9)
        assert expired == [], "it was answered"
        dispatcher.advance(2.0)
        assert expired == [1]
        codec.reset_all_streams(None, "")  # type: ignore[arg-type]
