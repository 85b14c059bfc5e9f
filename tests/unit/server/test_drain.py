"""When connections should end."""

from envoymesh.server.drain import DrainManager
from tests.support.fakes import FakeDispatcher


def manager(
    dispatcher: FakeDispatcher, strategy: str = "gradual", time: float = 100.0, random: float = 0.5
) -> DrainManager:
    return DrainManager(dispatcher, time, strategy, lambda: random)


def test_nothing_ends_before_draining() -> None:
    drain = manager(FakeDispatcher())
    assert not drain.draining
    assert not drain.drain_close()


def test_gradual_draining_grows_with_time() -> None:
    dispatcher = FakeDispatcher()
    drain = manager(dispatcher)
    drain.start()
    dispatcher.advance(49)
    assert not drain.drain_close()
    drain.start()
    dispatcher.advance(2)
    assert drain.drain_close()
    assert drain.draining


def test_immediate_draining() -> None:
    for drain in (
        manager(FakeDispatcher(), "immediate", random=0.99),
        manager(FakeDispatcher(), time=0.0, random=0.99),
    ):
        drain.start()
        assert drain.drain_close()


def test_a_failed_health_check_ends_connections() -> None:
    drain = manager(FakeDispatcher())
    drain.health_check_failed = True
    assert drain.drain_close()
    assert not drain.drain_close_modify_only()
    assert not drain.draining
    drain.start()
    drain.health_check_failed = False
    assert not drain.drain_close_modify_only()


def test_a_listener_for_modifications_only_ends_connections_in_a_drain() -> None:
    drain = manager(FakeDispatcher(), "immediate")
    drain.start()
    assert drain.drain_close_modify_only()
