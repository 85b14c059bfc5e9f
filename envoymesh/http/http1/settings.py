"""What an HTTP/1 codec is told and what it counts.

Plain values, made elsewhere, never changed. This module must not know of configuration messages or stats stores.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class HeadersWithUnderscoresAction(enum.Enum):
    """envoy.config.core.v3.HttpProtocolOptions.headers_with_underscores_action."""

    ALLOW = 0
    REJECT_REQUEST = 1
    DROP_HEADER = 2


@dataclass(frozen=True, slots=True)
class Http1Settings:
    """One codec's limits and options.

    Fields are those of envoy.config.core.v3.Http1ProtocolOptions and HttpProtocolOptions where a name is shared.

    Attributes:
        max_request_headers_kb: KiB of a request's head, and of its trailers; more is answered with 431.
        max_response_headers_kb: the same for responses that a client codec reads.
        max_headers_count: header fields of one head or trailer section.
        default_host_for_http_10: the authority of HTTP/1.0 requests that have no Host; b"" is none.
        allow_chunked_length: take messages that have both Content-Length (ignored) and `chunked`.
        proper_case_words: write names as `Proper-Case` (header_key_format).
        enable_trailers: pass trailers on; otherwise they are checked and dropped.
        ignores_upgrade: whether a protocol that Upgrade names is not seen (`ignore_http_11_upgrade`); None sees all.
        send_fully_qualified_url: a client's requests name their whole URL, as those to a proxy do.
    """

    max_request_headers_kb: int = 60
    max_response_headers_kb: int = 80
    max_headers_count: int = 100
    accept_http_10: bool = False
    default_host_for_http_10: bytes = b""
    allow_chunked_length: bool = False
    allow_absolute_url: bool = True
    proper_case_words: bool = False
    enable_trailers: bool = False
    send_fully_qualified_url: bool = False
    headers_with_underscores_action: HeadersWithUnderscoresAction = HeadersWithUnderscoresAction.ALLOW
    ignores_upgrade: Callable[[bytes], bool] | None = None


class Incrementable(Protocol):
    """A counter, as far as a codec needs one."""

    def inc(self) -> None:
        """Count one more."""


class Http1Stats(Protocol):
    """Envoy's `http1.` counters."""

    @property
    def dropped_headers_with_underscores(self) -> Incrementable:
        """Header fields left out of a request."""

    @property
    def requests_rejected_with_underscores_in_headers(self) -> Incrementable:
        """Requests refused for a header name."""
