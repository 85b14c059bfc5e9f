"""Header lists to messages: what makes a request, a response or trailers well-formed (RFC 9113 section 8).

Rules of this module:
- A malformed list raises MalformedMessageError; whether that costs the stream or the connection is for the codec.
- What a field is (a pseudo-header, one that HTTP/2 forbids, an ordinary one) is found out once and remembered with
  the field itself: peers repeat themselves, and HPACK hands out the same tuple each time.
- Cookie crumbs become one field, at the end (section 8.2.3). `host` stands in for :authority, or is dropped.

It must not know of streams or frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from envoymesh.http.headers import HeaderField, HeaderMap, Http2RequestHeaders, ResponseHeaders

VIOLATION: Final = "http2.violation.of.messaging.rule"
"""Envoy's response_code_details for a list that as a whole breaks a rule of section 8."""

INVALID_FIELD: Final = "http2.invalid.header.field"
"""Envoy's response_code_details for a field that such a list may not have."""

BYTESTREAM: Final = b"bytestream"
"""A :protocol that Envoy takes for a plain CONNECT."""

UNDERSCORE: Final = "http2.unexpected_underscore"

ORDINARY: Final = 0
FORBIDDEN: Final = 1
METHOD: Final = 2
SCHEME: Final = 3
AUTHORITY: Final = 4
PATH: Final = 5
PROTOCOL: Final = 6
STATUS: Final = 7
HOST: Final = 8
COOKIE: Final = 9
CONTENT_LENGTH: Final = 10
UNDERSCORED: Final = 11
"""Kinds of fields. Pseudo-headers are METHOD to STATUS."""

NO_LENGTH: Final = -1
"""A message without content-length."""

NO_BODY_YET: Final = -2
"""A message whose headers are not here: any body is out of place."""

_KINDS_BY_NAME: Final = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b":protocol": PROTOCOL,
    b":status": STATUS,
    b"host": HOST,
    b"cookie": COOKIE,
    b"content-length": CONTENT_LENGTH,
    # Section 8.2.2: connection-specific fields.
    b"connection": FORBIDDEN,
    b"keep-alive": FORBIDDEN,
    b"proxy-connection": FORBIDDEN,
    b"transfer-encoding": FORBIDDEN,
    b"upgrade": FORBIDDEN,
}
_REMEMBERED: Final = 512
_LONGEST_REMEMBERED: Final = 128
_REMEMBERED_BLOCKS: Final = 32

# Section 8.2.1, and RFC 9110 section 5.6.2 for what a name may be: a token, in lower case.
_is_name: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_is_token: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_has_bad_byte: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_is_scheme: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*").fullmatch
# What the real Envoy takes: no user information (RFC 9113 section 8.3.1), no space.
_is_authority: Final = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]+").fullmatch
_is_path: Final = re.compile(rb"[^\x00-\x20\x7f]+").fullmatch
_is_status: Final = re.compile(rb"[1-9][0-9]{2}").fullmatch
_is_digits: Final = re.compile(rb"[0-9]{1,18}").fullmatch

_VALUE_CHECKS: Final = {
    METHOD: _is_token,
    SCHEME: _is_scheme,
    AUTHORITY: _is_authority,
    HOST: _is_authority,
    PATH: _is_path,
    STATUS: _is_status,
}


class MalformedMessageError(Exception):
    """A message that breaks the rules; `details` are Envoy's response_code_details."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


class UnderscoreRejectedError(MalformedMessageError):
    """A request with an underscore in a header's name, where that is configured to be refused."""


class _Sorted(NamedTuple):
    """What was found in a block. `block` refers to it, so that no other object can get the `id` it is remembered by."""

    block: tuple[HeaderField, ...]
    fields: list[HeaderField]
    pseudo: list[bytes | None]
    content_length: int
    dropped_underscores: int


class MessageReader:
    """Reads the header lists of one connection.

    Args:
        allow_connect: whether extended CONNECT was offered (RFC 8441).
        underscores: headers_with_underscores_action.
    """

    __slots__ = (
        "_allow_connect",
        "_crumbs",
        "_known",
        "_sorted",
        "_underscores",
        "content_length",
        "dropped_underscores",
    )

    def __init__(self, allow_connect: bool = False, underscores: str = "ALLOW") -> None:
        self._known: dict[HeaderField, int] = {}
        self._sorted: dict[int, _Sorted] = {}
        self._crumbs: list[bytes] = []
        self._allow_connect = allow_connect
        self._underscores = underscores
        self.content_length = NO_LENGTH
        """The content-length of the list read last, or NO_LENGTH."""
        self.dropped_underscores = 0
        """Fields dropped from the list read last."""

    def request(self, block: Sequence[HeaderField]) -> Http2RequestHeaders:
        """The request of a header list (section 8.3.1). Errors: MalformedMessageError."""
        fields, pseudo = self._sort(block)
        method, scheme, authority, path, protocol, status, host = pseudo[METHOD:]
        if status is not None or (protocol is not None and not self._allow_connect):
            raise MalformedMessageError(INVALID_FIELD)
        if method is None:
            raise MalformedMessageError(VIOLATION)
        if authority is None:
            authority = host
        if method == b"CONNECT":
            self._check_connect(scheme, authority, path, protocol)
        elif scheme is None or path is None or authority is None or protocol is not None:
            raise MalformedMessageError(VIOLATION)
        if path and path[:1] != b"/" and not (path == b"*" and method == b"OPTIONS"):
            raise MalformedMessageError(VIOLATION)  # section 8.3.1
        if protocol is not None and protocol != BYTESTREAM:
            # As in Envoy an upgrade looks above as HTTP/1 has it, whichever way it came (RFC 8441 section 5).
            fields += (b"upgrade", protocol), (b"connection", b"upgrade")
            method, protocol = b"GET", None
        return Http2RequestHeaders(method, path or b"", authority, scheme or b"", fields, protocol)

    def _check_connect(
        self, scheme: bytes | None, authority: bytes | None, path: bytes | None, protocol: bytes | None
    ) -> None:
        # Section 8.5: CONNECT has neither :scheme nor :path; RFC 8441 section 4: with :protocol it has both.
        wanted = protocol is not None
        if (scheme is not None) != wanted or (path is not None) != wanted or not authority:
            raise MalformedMessageError(VIOLATION)

    def response(self, block: Sequence[HeaderField]) -> ResponseHeaders:
        """The response of a header list (section 8.3.2). Errors: MalformedMessageError."""
        fields, pseudo = self._sort(block)
        status = pseudo[STATUS]
        # Section 8.6: there is no 101 in HTTP/2.
        if status == b"101" or _any(pseudo[METHOD:STATUS]):
            raise MalformedMessageError(INVALID_FIELD)
        if status is None:
            raise MalformedMessageError(VIOLATION)
        host = pseudo[HOST]
        if host is not None:
            fields.append((b"host", host))
        return ResponseHeaders(int(status), fields)

    def trailers(self, block: Sequence[HeaderField]) -> HeaderMap:
        """Trailers: no pseudo-headers (section 8.1). Errors: MalformedMessageError."""
        fields, pseudo = self._sort(block)
        if _any(pseudo[METHOD : STATUS + 1]):
            raise MalformedMessageError(INVALID_FIELD)
        host = pseudo[HOST]
        if host is not None:
            fields.append((b"host", host))
        return HeaderMap(fields)

    def _sort(self, block: Sequence[HeaderField]) -> tuple[list[HeaderField], list[bytes | None]]:
        """The ordinary fields, and the pseudo-headers (and host) by kind. A tuple comes again, and is remembered."""
        if type(block) is not tuple:
            return self._sort_new(block)
        known = self._sorted.get(id(block))
        if known is None or known.block is not block:
            fields, pseudo = self._sort_new(block)
            if len(self._sorted) >= _REMEMBERED_BLOCKS:
                self._sorted.clear()
            known = _Sorted(block, fields, pseudo, self.content_length, self.dropped_underscores)
            self._sorted[id(block)] = known
        self.content_length = known.content_length
        self.dropped_underscores = known.dropped_underscores
        return known.fields.copy(), known.pseudo

    def _sort_new(self, block: Sequence[HeaderField]) -> tuple[list[HeaderField], list[bytes | None]]:
        pseudo: list[bytes | None] = [None] * (HOST + 1)
        self.content_length = NO_LENGTH
        self.dropped_underscores = 0
        crumbs = self._crumbs = []
        fields: list[HeaderField] = []
        known = self._known
        passed_on: Sequence[Any] = block  # see hpack.py: a HeaderField would be made anew for each place
        for field in passed_on:
            kind = known.get(field)
            if kind is None:
                kind = self._classify(field)
            if kind == ORDINARY:
                fields.append(field)
            elif kind <= STATUS:
                # Section 8.3: before all other fields, and only once.
                if fields or crumbs or pseudo[HOST] is not None or pseudo[kind] is not None:
                    raise MalformedMessageError(INVALID_FIELD)
                pseudo[kind] = field[1]
            elif self._keeps_special(kind, field[1], pseudo):
                fields.append(field)
        if crumbs:
            fields.append((b"cookie", b"; ".join(crumbs)))
        return fields, pseudo

    def _keeps_special(self, kind: int, value: bytes, pseudo: list[bytes | None]) -> bool:
        """Note what a special field says; tells whether it stays with the ordinary ones."""
        if kind == COOKIE:
            self._crumbs.append(value)
            return False
        if kind == HOST:
            if pseudo[HOST] is not None:
                raise MalformedMessageError(INVALID_FIELD)
            pseudo[HOST] = value
            return False
        if kind == CONTENT_LENGTH:
            self._set_content_length(value)
            return True
        return self._keeps_underscore()

    def _keeps_underscore(self) -> bool:
        if self._underscores == "REJECT_REQUEST":
            raise UnderscoreRejectedError(UNDERSCORE)
        if self._underscores == "DROP_HEADER":
            self.dropped_underscores += 1
            return False
        return True

    def _set_content_length(self, value: bytes) -> None:
        if self.content_length != NO_LENGTH or not _is_digits(value):
            raise MalformedMessageError(INVALID_FIELD)
        self.content_length = int(value)

    def _classify(self, field: Any) -> int:
        """Find out a field's kind, and remember it. Errors: MalformedMessageError."""
        taken_apart: HeaderField = field
        name, value = taken_apart
        kind = _KINDS_BY_NAME.get(name, ORDINARY)
        if kind == FORBIDDEN or (name == b"te" and value.lower() != b"trailers"):
            raise MalformedMessageError(INVALID_FIELD)  # section 8.2.2
        if not METHOD <= kind <= STATUS and not _is_name(name):
            raise MalformedMessageError(INVALID_FIELD)
        if _has_bad_byte(value):
            raise MalformedMessageError(INVALID_FIELD)
        is_value = _VALUE_CHECKS.get(kind)
        if is_value is not None and not is_value(value):
            raise MalformedMessageError(INVALID_FIELD)
        if kind == ORDINARY and b"_" in name and self._underscores != "ALLOW":
            kind = UNDERSCORED
        if len(value) <= _LONGEST_REMEMBERED:
            known = self._known
            if len(known) >= _REMEMBERED:
                known.clear()
            known[field] = kind
        return kind


def _any(values: list[bytes | None]) -> bool:
    return any(value is not None for value in values)
