"""Sockets for several workers: one port, a socket each where the kernel spreads, else one for all."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoymesh.errors import BindError
from envoymesh.network.api import Address, PipeAddress
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.settings import FilterChainMatch, FilterChainSettings, ListenerSettings
from envoymesh.network.stats import ListenerStats
from envoymesh.server.workers.sockets import WorkerSockets
from envoymesh.stats import Store
from tests.support.fakes import FakeDispatcher


def listener(**options: object) -> TcpListener:
    chain = FilterChainSettings("", FilterChainMatch(), ())
    settings = ListenerSettings("main", Address("127.0.0.1", 0), filter_chains=(chain,), **options)  # type: ignore[arg-type]
    return TcpListener(
        FakeDispatcher(),  # type: ignore[arg-type]
        settings,
        lambda connection, chain: None,
        ListenerStats.create(Store().scope("listener.")),
    )


@pytest.fixture
def bound() -> Iterator[TcpListener]:
    made = listener(additional_addresses=((Address("127.0.0.1", 0), False),))
    made.bind()
    yield made
    made.stop_accepting()


def ports(descriptors: tuple[int, ...]) -> list[int]:
    """The port of each descriptor, which stays open."""
    found = []
    for descriptor in descriptors:
        sock = socket.socket(fileno=descriptor)
        found.append(sock.getsockname()[1])
        sock.detach()
    return found


def test_each_worker_has_its_own_sockets_on_the_same_ports(bound: TcpListener) -> None:
    sockets = WorkerSockets(bound, 3, spreads=True)
    each = [sockets.of(index) for index in range(3)]
    assert len({descriptor for descriptors in each for descriptor in descriptors}) == 6
    wanted = [address.port for address in bound.addresses]
    assert [ports(descriptors) for descriptors in each] == [wanted] * 3
    sockets.close()
    assert sockets.of(1) == sockets.of(2) == ()
    assert len(sockets.of(0)) == 2, "the first worker's are the listener's own"


def test_where_nothing_spreads_all_have_the_same_sockets(bound: TcpListener) -> None:
    sockets = WorkerSockets(bound, 3, spreads=False)
    assert sockets.of(0) == sockets.of(1) == sockets.of(2)
    bound.stop_accepting()
    assert sockets.of(2) == ()
    sockets.close()


def test_without_reuse_port_all_have_the_same_sockets() -> None:
    alone = listener(reuse_port=False)
    alone.bind()
    sockets = WorkerSockets(alone, 2, spreads=True)
    assert sockets.of(0) == sockets.of(1)
    assert len(sockets.of(0)) == 1
    alone.stop_accepting()


def test_a_listener_that_does_not_bind_has_no_sockets() -> None:
    unbound = listener(bind_to_port=False)
    unbound.bind()
    assert WorkerSockets(unbound, 2, spreads=True).of(1) == ()


def test_an_address_that_is_gone_leaves_nothing_open(bound: TcpListener) -> None:
    bound.addresses[1] = Address("192.0.2.1", 1)
    with pytest.raises(BindError, match=r"192\.0\.2\.1"):
        WorkerSockets(bound, 3, spreads=True)


def test_a_listener_adopts_sockets(bound: TcpListener) -> None:
    adopting = listener(additional_addresses=((Address("127.0.0.1", 0), False),))
    adopting.adopt([socket.socket(fileno=sock.detach()) for sock in bound.bound_sockets])
    assert adopting.addresses == bound.addresses
    adopting.stop_accepting()
    assert adopting.bound_sockets == []


def test_a_pipe_is_shared(tmp_path: Path) -> None:
    pipe = PipeAddress(str(tmp_path / "a.sock"))
    made = listener(additional_addresses=((pipe, False),))
    made.bind()
    sockets = WorkerSockets(made, 3, spreads=True)
    assert sockets.of(0) == sockets.of(1) == sockets.of(2)
    assert (len(sockets.of(0)), sockets.own(1)) == (2, ())
    made.stop_accepting()
