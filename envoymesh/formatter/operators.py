"""Every command by name, with its syntax and what makes its operator. Adding one is a line in a table.

A command that Envoy has and this proxy cannot answer truly is refused by name; it must not print a made-up value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from envoymesh.formatter.addresses import ADDRESSES, MASKED_ADDRESSES
from envoymesh.formatter.context import FormatterContext, JsonText, Operator, Value
from envoymesh.formatter.headers import HEADER_FACTS, HEADERS, REQUEST_WITHOUT_QUERY
from envoymesh.formatter.metadata import METADATA
from envoymesh.formatter.parse import Command, Syntax
from envoymesh.formatter.process import ENVIRONMENT, PROCESS
from envoymesh.formatter.stream import STREAM, STREAM_MAPS
from envoymesh.formatter.times import DURATIONS, TIMES
from envoymesh.formatter.tls import TLS, VALIDITY
from envoymesh.formatter.wire import WIRE

Maker = Callable[[str], Operator]

PLAIN: Mapping[str, Operator] = {**STREAM, **ADDRESSES, **DURATIONS, **TLS, **PROCESS, **HEADER_FACTS, **WIRE}
"""Commands of a name alone."""

WITH_ARGUMENT: Mapping[str, tuple[Syntax, Maker]] = {
    **HEADERS, **MASKED_ADDRESSES, **TIMES, **STREAM_MAPS, **METADATA, **ENVIRONMENT, **VALIDITY,
}  # fmt: skip
"""Commands that take an argument or a length."""

UNSUPPORTED = frozenset({
    # Times that are not measured: it would cost every request or connection a look at the clock, or a system call.
    "DOWNSTREAM_HANDSHAKE_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION", "DOWNSTREAM_CX_RTT",
    # Python's TLS does not tell: groups, session ids, the peer's chain, the ClientHello's fingerprints.
    "DOWNSTREAM_TLS_GROUP", "UPSTREAM_TLS_GROUP", "DOWNSTREAM_TLS_SESSION_ID", "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_SERVER_NAME", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_SERIALS", "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT",
    # otherName SANs have a form that only their application knows.
    "DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    # Languages of their own.
    "CEL", "COALESCE",
})  # fmt: skip
"""Commands of Envoy 1.40 that have no true answer here."""


EXTENSIONS: Mapping[str, Mapping[str, tuple[Syntax, Maker]]] = {
    "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery": {"REQ_WITHOUT_QUERY": REQUEST_WITHOUT_QUERY},
    # METADATA is among Envoy's own commands by now.
    "envoy.extensions.formatter.metadata.v3.Metadata": {},
}
"""Commands that a format has only where its `formatters` name the extension."""


def make_operator(command: Command, extensions: Sequence[str] = ()) -> Operator:
    """The operator of a command; `extensions` are types in `EXTENSIONS`. Errors: ValueError in Envoy's words."""
    if command.name in PLAIN:
        command.check(Syntax.BARE)
        return PLAIN[command.name]
    if command.name in UNSUPPORTED:
        raise ValueError(f"{command.name} is not supported by envoymesh")
    syntax, make = _with_argument(command.name, extensions)
    command.check(syntax)
    operator = make(command.argument)
    return operator if command.length is None else _cut(operator, command.length)


def _with_argument(name: str, extensions: Sequence[str]) -> tuple[Syntax, Maker]:
    for table in (WITH_ARGUMENT, *(EXTENSIONS[each] for each in extensions)):
        if name in table:
            return table[name]
    raise ValueError(f"Not supported field in StreamInfo: {name}")


def _cut(operator: Operator, length: int) -> Operator:
    def cut(context: FormatterContext) -> Value:
        value = operator(context)
        if isinstance(value, JsonText):
            return JsonText(value[:length], value.whole)
        return value[:length] if isinstance(value, str) else value

    return cut
