"""Hash policies (RouteAction.HashPolicy): a number of 64 bits that is the same for requests which belong together.

Pure functions of a request's facts, with Envoy's own values (XXH64). This module must not know who wants the number.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import xxhash
from mypy_extensions import trait

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.headers import request_header_values
from envoymesh.matching.queries import parse_query
from envoymesh.router.actions.rewrites import RegexSubstitution

_BITS: Final = (1 << 64) - 1

AddCookie = Callable[["CookieHash"], bytes]
"""Gives a client the cookie that it does not have yet; returns its value."""


def hash_bytes(text: bytes, seed: int = 0) -> int:
    """XXH64."""
    return xxhash.xxh64_intdigest(text, seed)


@trait
class HashMethod:
    """Hashes one fact of a request."""

    __slots__ = ()

    @abstractmethod
    def evaluate(self, headers: RequestHeaders, info: StreamInfo, add_cookie: AddCookie | None) -> int | None:
        """The hash, or None where the request does not have what is hashed."""


@dataclass(frozen=True, slots=True)
class HeaderHash(HashMethod):
    """`header`: all its values, in the order of their bytes."""

    name: bytes
    rewrite: RegexSubstitution | None = None

    def evaluate(self, headers: RequestHeaders, info: StreamInfo, add_cookie: AddCookie | None) -> int | None:
        """The hash of the values."""
        values = request_header_values(headers, self.name)
        if not values:
            return None
        if self.rewrite is not None:
            values = [self.rewrite.replace_all(value) for value in values]
        hashed = 0
        for value in sorted(values):
            hashed = hash_bytes(value, hashed)
        return hashed


@dataclass(frozen=True, slots=True)
class CookieHash(HashMethod):
    """`cookie`.

    Args:
        ttl: seconds that a cookie lives which a client without one is given; 0 lives as long as the client's session.
            None: no cookie is given.
        attributes: names and values, which may be empty.
    """

    name: bytes
    ttl: int | None = None
    path: bytes = b""
    attributes: Sequence[tuple[bytes, bytes]] = ()

    def evaluate(self, headers: RequestHeaders, info: StreamInfo, add_cookie: AddCookie | None) -> int | None:
        """The hash of the cookie's value, or of the value that the client is about to get."""
        value = cookie_value(headers, self.name)
        if not value and self.ttl is not None and add_cookie is not None:
            value = add_cookie(self)
        return hash_bytes(value) if value else None

    def set_cookie(self, value: bytes) -> bytes:
        """The set-cookie that gives a client the value (`Utility::makeSetCookieValue`)."""
        parts = [self.name + b'="' + value + b'"']
        if self.ttl:
            parts.append(b"Max-Age=%d" % self.ttl)
        if self.path:
            parts.append(b"Path=" + self.path)
        parts += [name + b"=" + text if text else name for name, text in self.attributes]
        return b"; ".join([*parts, b"HttpOnly"])


def cookie_value(headers: RequestHeaders, name: bytes) -> bytes:
    """A cookie's value without quotes, empty where there is none (`Utility::parseCookieValue`)."""
    for line in headers.get_all(b"cookie"):
        for pair in line.split(b";"):
            key, mark, value = pair.strip().partition(b"=")
            if mark and key == name:
                quoted = len(value) >= 2 and value.startswith(b'"') and value.endswith(b'"')
                return value[1:-1] if quoted else value
    return b""


def new_cookie_value(info: StreamInfo) -> bytes:
    """The value for a client without a cookie: the same for all requests of a connection."""
    remote, local = info.downstream.remote_address, info.downstream.local_address
    return b"%016x" % hash_bytes(f"{remote or ''}{local or ''}".encode())


@dataclass(frozen=True, slots=True)
class SourceIpHash(HashMethod):
    """`connection_properties` with `source_ip`: the client's address, as x-forwarded-for may tell it."""

    def evaluate(self, headers: RequestHeaders, info: StreamInfo, add_cookie: AddCookie | None) -> int | None:
        """The hash of the address without its port."""
        remote = info.trusted_remote
        return None if remote is None or not remote.host else hash_bytes(remote.host.encode())


@dataclass(frozen=True, slots=True)
class QueryParameterHash(HashMethod):
    """`query_parameter`: its first value."""

    name: bytes

    def evaluate(self, headers: RequestHeaders, info: StreamInfo, add_cookie: AddCookie | None) -> int | None:
        """The hash of the value, also of an empty one."""
        value = parse_query(headers.path).get(self.name)
        return None if value is None else hash_bytes(value)


@dataclass(frozen=True, slots=True)
class FilterStateHash(HashMethod):
    """`filter_state`: what a filter has left under a key, where that is something to hash."""

    key: str

    def evaluate(self, headers: RequestHeaders, info: StreamInfo, add_cookie: AddCookie | None) -> int | None:
        """The hash of what the state says."""
        state = None if info.filter_state is None else info.filter_state.get(self.key)
        text = None if state is None else state.hashed()
        return None if text is None else hash_bytes(text.encode())


@dataclass(frozen=True, slots=True)
class HashStep:
    """One entry of a policy.

    Args:
        terminal: where there is a hash after this entry, the entries that follow do not count.
    """

    method: HashMethod
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class HashPolicy:
    """All entries of a route's `hash_policy`."""

    steps: Sequence[HashStep]

    def generate_hash(self, headers: RequestHeaders, info: StreamInfo, add_cookie: AddCookie | None) -> int | None:
        """The hash of a request, or None where it has nothing of what is hashed (`HashPolicyImpl::generateHash`).

        Args:
            add_cookie: None where no cookie can be given.
        """
        found: int | None = None
        for step in self.steps:
            new = step.method.evaluate(headers, info, add_cookie)
            if new is not None:
                # Rotated by a bit, so that two equal hashes do not cancel each other out.
                old = 0 if found is None else (found << 1 | found >> 63) & _BITS
                found = old ^ new
            if step.terminal and found is not None:
                break
        return found
