"""A worker's beginning: it takes its first message and nothing else."""

import socket

from envoymesh.options import Options
from envoymesh.server.workers.protocol import Command, FrameReader, Start, Verb, encode
from envoymesh.server.workers.worker import receive_start

START = Start(0, Options(), b"x" * 100_000, ((3,),))


def test_what_follows_the_first_message_stays_in_the_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode(START) + encode(Command(Verb.DRAIN_AND_STOP)))
        assert receive_start(theirs) == START
        assert FrameReader().feed(theirs.recv(65536)) == [Command(Verb.DRAIN_AND_STOP)]


def test_a_parent_that_is_gone_starts_nothing() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(encode(START)[:-1])
        ours.close()
        assert receive_start(theirs) is None
