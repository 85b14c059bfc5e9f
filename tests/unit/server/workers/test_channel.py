"""The channel: messages and descriptors in order, however they are cut, and the end of either side."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from envoymesh.options import Options
from envoymesh.server.workers.channel import Channel
from envoymesh.server.workers.protocol import Command, Lend, Message, Ping, Start, Verb


class Ends:
    """Both ends of a socket pair as channels, and what the second one has heard."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        # So small that a message does not fit, and has to be sent in pieces.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.heard: list[Message] = []
        self.lost = 0
        self.first = Channel(ours, lambda message: None, self._on_lost)
        self.second = Channel(theirs, self.heard.append, self._on_lost)

    def _on_lost(self) -> None:
        self.lost += 1

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)


def play(scene: Callable[[Ends], Awaitable[None]]) -> None:
    async def run() -> None:
        ends = Ends()
        try:
            await scene(ends)
        finally:
            ends.first.close()
            ends.second.close()

    asyncio.run(run())


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_descriptors_arrive_with_their_messages_among_large_ones() -> None:
    async def scene(ends: Ends) -> None:
        large = Start(0, Options(), b"x" * 300_000, ())
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            for message in (large, Lend(1, 0, one.fileno()), Ping(), large, Lend(1, 1, two.fileno()), Ping()):
                ends.first.send(message)
            # They may be closed once they are given to the channel, though most of it waits.
            names = [each.getsockname() for each in (one, two)]
        await ends.until(lambda: len(ends.heard) == 6)
        assert [type(each) for each in ends.heard] == [Start, Lend, Ping, Start, Lend, Ping]
        lent = [each for each in ends.heard if isinstance(each, Lend)]
        arrived = [socket.socket(fileno=each.descriptor) for each in lent]
        assert [each.getsockname() for each in arrived] == names
        for each in arrived:
            each.close()

    play(scene)


def test_the_end_of_the_other_side_is_told_once_and_nothing_is_kept() -> None:
    async def scene(ends: Ends) -> None:
        with socket.create_server(("127.0.0.1", 0)) as own:
            before = open_descriptors()
            ends.first.send(Start(0, Options(), b"x" * 3_000_000, ()))
            for _ in range(5):
                ends.first.send(Lend(1, 0, own.fileno()))
            assert open_descriptors() == before + 5, "they wait behind what does not fit"
            ends.second.close()
            await ends.until(lambda: ends.lost)
            ends.first.send(Command(Verb.STOP))
            await asyncio.sleep(0.01)
            assert ends.lost == 1
            assert open_descriptors() == before - 2, "the sockets of both ends are gone too"

    play(scene)
