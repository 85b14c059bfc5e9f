"""What a dry run was asked, which way it took and what came of it: plain facts. `explanation.py` puts them in words."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.explain.question import Question
from envoymesh.explain.trace import Trace
from envoymesh.explain.wire import DryClient, DryUpstream
from envoymesh.filters.network.http_connection_manager.factory import ConnectionManagerFactory
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.network.api import Dispatcher
from envoymesh.network.listener.filter_chain_match import ConnectionFacts
from envoymesh.network.settings import FilterChainSettings, ListenerSettings


class DryListener:
    """A listener of a dry run.

    Args:
        settings: as they are configured.
        filled: the same without TLS, its filter chains with what makes their filters.
        path: of its message.

    Attributes:
        bound: ports that a running proxy's system has chosen for it.
    """

    def __init__(self, settings: ListenerSettings, filled: ListenerSettings, path: str) -> None:
        self.settings = settings
        self.filled = filled
        self.path = path
        self.bound: set[int] = set()

    @property
    def ports(self) -> set[int]:
        """Where it listens."""
        others = [address.port for address, _ in self.settings.additional_addresses]
        return {self.settings.address.port, *others, *self.bound}

    @property
    def only_tls(self) -> bool:
        """Whether all of its filter chains speak TLS."""
        chains = [*self.settings.filter_chains, *filter(None, [self.settings.default_filter_chain])]
        return bool(chains) and all(chain.tls is not None for chain in chains)

    def connection_managers(self) -> list[ConnectionManagerFactory]:
        """What makes them, of all filter chains that end in one."""
        chains = [*self.filled.filter_chains, *filter(None, [self.filled.default_filter_chain])]
        terminals = [chain.factory.terminal for chain in chains]
        return [each for each in terminals if isinstance(each, ConnectionManagerFactory)]

    def index_of(self, chain: FilterChainSettings) -> int:
        """A filled chain's place; -1 is the default one."""
        return next((place for place, each in enumerate(self.filled.filter_chains) if each is chain), -1)

    def speaks_tls(self, chain: FilterChainSettings) -> bool:
        """Whether a filled chain has TLS."""
        place = self.index_of(chain)
        configured = self.settings.default_filter_chain if place < 0 else self.settings.filter_chains[place]
        return configured is not None and configured.tls is not None

    def path_of(self, chain: FilterChainSettings) -> str:
        """The path of a filled chain's message."""
        place = self.index_of(chain)
        return f"{self.path}.default_filter_chain" if place < 0 else f"{self.path}.filter_chains[{place}]"


class Run:
    """One dry run.

    Attributes:
        why: why this listener.
        problem: why nothing came of it, where the connection did not even get to HTTP.
        chain: of `listener.filled`.
        manager: what the connection manager is told; None where the chain ends in another filter.
    """

    def __init__(
        self,
        question: Question,
        listener: DryListener,
        listeners: Sequence[DryListener],
        why: str,
        dispatcher: Dispatcher,
    ) -> None:
        self.question = question
        self.listener = listener
        self.listeners = listeners
        self.why = why
        self.dispatcher = dispatcher
        self.problem = ""
        self.facts: ConnectionFacts | None = None
        self.chain: FilterChainSettings | None = None
        self.tls = False
        self.manager: HttpConnectionManagerSettings | None = None
        self.trace = Trace()
        self.client: DryClient | None = None
        self.upstreams: list[DryUpstream] = []
        self.log_lines: list[tuple[str, str]] = []
