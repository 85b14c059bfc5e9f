"""What the health checks of clusters need from other rooms: log files, header mutations, matchers of strings."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.access_loggers.config import AccessLogFactoryContext
from envoymesh.config.reader import Reader
from envoymesh.formatter.context import FormatterContext
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.config import read_string_matcher
from envoymesh.network.api import Address
from envoymesh.network.connection.tcp_connection import TcpConnection
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.router.header_parser import HeaderParser
from envoymesh.router.levels.config import read_header_parser
from envoymesh.upstream.health.config import HealthCheckFactoryContext
from envoymesh.upstream.health.settings import MutateHeaders

_NOWHERE = Address("127.0.0.1", 0)
"""As in Envoy: both ends of the connection that a check does not come over."""


def health_check_context(access_logs: AccessLogFactoryContext, dispatcher: LoopDispatcher) -> HealthCheckFactoryContext:
    """The context of every cluster's checks."""

    def read_headers(reader: Reader, to_add: str, to_remove: str) -> MutateHeaders | None:
        parser = read_header_parser(reader, to_add, to_remove)
        return _mutation(parser, dispatcher) if parser else None

    return HealthCheckFactoryContext(
        open_log=lambda path: access_logs.open_log(path).write,
        read_headers=read_headers,
        read_matcher=lambda reader: read_string_matcher(reader).matches,
    )


def _mutation(parser: HeaderParser, dispatcher: LoopDispatcher) -> Callable[[RequestHeaders, Address, bool], None]:
    nobody = TcpConnection(dispatcher, 0)
    nobody.local_address = nobody.remote_address = _NOWHERE

    def mutate(headers: RequestHeaders, host: Address, is_http2: bool) -> None:
        protocol = HttpProtocol.HTTP2 if is_http2 else HttpProtocol.HTTP11
        now = dispatcher.now()
        info = StreamInfo(nobody, protocol, now, dispatcher.wall_time(), 0)
        info.upstream_host = host
        parser.evaluate_headers(headers, FormatterContext(info, headers, None, None, now))

    return mutate
