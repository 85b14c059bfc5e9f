"""Who accepts for whom: whatever fails in whichever order, each socket has a reader while anybody serves."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from envoymesh.server.workers.process import WorkerProcess
from envoymesh.server.workers.protocol import Command, Lend, Message, Sockets, Verb
from envoymesh.server.workers.shares import Shares

COUNT = 3


class Worker(WorkerProcess):
    """Accepts from its own sockets and from those it was lent, `reads`, as a worker would."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.reads: list[tuple[int, int, int]] = []
        self.told: list[Message] = []

    def send(self, message: Message) -> None:
        self.told.append(message)

    def obey(self) -> None:
        for message in self.told:
            if isinstance(message, Lend):
                self.reads.append((message.owner, message.listener, message.descriptor))
            elif isinstance(message, Command) and message.verb is Verb.GIVE_BACK:
                self.reads = [each for each in self.reads if each[0] != message.arguments[0]]
        self.told.clear()


@dataclass
class Stage:
    """Three workers with two listeners, one of them on two addresses."""

    workers: list[Worker] = field(default_factory=list)
    changes: int = 0

    def __post_init__(self) -> None:
        self.shares = Shares(sockets_of, lambda: self.workers, self._on_change)
        for index in range(COUNT):
            self.start(index)

    def _on_change(self) -> None:
        self.changes += 1

    def start(self, index: int) -> None:
        worker = Worker(index)
        worker.started = True
        self.workers.append(worker)
        self.shares.give_back(worker)

    def by_index(self, index: int) -> Worker | None:
        return next((each for each in self.workers if each.index == index), None)

    def die(self, index: int) -> None:
        self.workers = [each for each in self.workers if each.index != index]
        self.shares.take_over(index)


def sockets_of(index: int) -> Sockets:
    return ((10 * index,), (10 * index + 1, 10 * index + 2))


def all_of(owner: int) -> list[tuple[int, int, int]]:
    return [(owner, 0, 10 * owner), (owner, 1, 10 * owner + 1), (owner, 1, 10 * owner + 2)]


def test_nothing_is_lent_while_all_serve() -> None:
    stage = Stage()
    assert not any(worker.told for worker in stage.workers)
    assert stage.changes == 0


def test_a_death_is_told_once_and_its_sockets_come_back() -> None:
    stage = Stage()
    stage.die(1)
    stage.shares.take_over(1)
    for worker in stage.workers:
        worker.obey()
        assert worker.reads == all_of(1)
    stage.start(1)
    for worker in stage.workers:
        worker.obey()
        assert worker.reads == []
    assert stage.changes == 2


@given(st.lists(st.tuples(st.sampled_from(("die", "hang", "return", "start", "obey")), st.integers(0, COUNT - 1))))
def test_every_socket_has_each_serving_worker_as_its_reader_once(events: list[tuple[str, int]]) -> None:
    stage = Stage()
    hung: set[int] = set()
    for what, index in events:
        worker = stage.by_index(index)
        if what == "start" and worker is None:
            hung.discard(index)
            stage.start(index)
        elif worker is None:
            continue
        elif what == "die":
            stage.die(index)
        elif what == "hang":
            hung.add(index)
            stage.shares.take_over(index)
        elif what == "return" and index in hung:
            hung.discard(index)
            stage.shares.give_back(worker)
        elif what == "obey" and index not in hung:
            worker.obey()
    expected = sorted(each for owner in stage.shares.down for each in all_of(owner))
    for worker in stage.shares.serving:
        worker.obey()
        assert sorted(worker.reads) == expected
