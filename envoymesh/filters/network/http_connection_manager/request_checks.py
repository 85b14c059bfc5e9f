"""Whether a request may come in at all, and path and host normalisation at the edge.

Envoy's checks of `ActiveStream::decodeHeaders`, in its order, and its HTTP/1 codec's check of the headers that
Connection names. Each gives a `Refusal` or nothing; the stream answers. Must not look at routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoymesh.filters.network.http_connection_manager import path as paths
from envoymesh.filters.network.http_connection_manager.header_mutation import list_tokens
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.filters.network.http_connection_manager.stats import HttpConnectionManagerStats
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import Address
from envoymesh.router.table import without_port

LARGEST_NUMBER: Final = 2**32 - 1
"""What Envoy takes for the number of a port."""
LONGEST_NUMBER: Final = len(str(LARGEST_NUMBER))
NOMINATION_LIMIT: Final = 10
NEVER_NOMINATED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in the place of a route's.

    Attributes:
        details: response_code_details.
        close: whether an HTTP/1 connection ends after the answer.
        location: of a redirect, else empty.
        malformed: an HTTP/1 codec's refusal in Envoy: nothing of the request is logged.
    """

    status: int
    body: bytes
    details: str
    close: bool = True
    location: bytes = b""
    malformed: bool = False


LOW_VERSION: Final = Refusal(426, b"Upgrade Required", "low_version", malformed=True)
BAD_NOMINATION: Final = Refusal(400, b"Bad Request", "http1.connection_header_rejected", malformed=True)
MISSING_HOST: Final = Refusal(400, b"", "missing_host_header")
MISSING_PATH: Final = Refusal(404, b"", "missing_path_rejected", close=False)
ABSOLUTE_PATH: Final = Refusal(404, b"", "absolute_path_rejected", close=False)
QUERY_WITHOUT_TYPE: Final = Refusal(400, b"", "query_missing_content_type")
BAD_PATH: Final = Refusal(400, b"", "path_normalization_failed")


def check_request(
    headers: RequestHeaders,
    protocol: HttpProtocol,
    settings: HttpConnectionManagerSettings,
    stats: HttpConnectionManagerStats,
    local: Address | None,
) -> Refusal | None:
    """Check a request and normalise its path and authority as the settings ask."""
    if protocol is HttpProtocol.HTTP10 and not settings.http1.accept_http_10:
        return LOW_VERSION
    if b"connection" in headers.index and not _take_nominated(headers):
        return BAD_NOMINATION
    authority = headers.authority
    if authority is None:
        return MISSING_HOST
    method = headers.method
    if method == b"QUERY" and headers.get(b"content-type") is None:
        return QUERY_WITHOUT_TYPE  # RFC 10008 section 2
    if method == b"CONNECT" and headers.protocol is None:
        headers.authority = normal_host(authority, settings, local)
        return None
    path = headers.path
    if not path.startswith(b"/"):
        stats.downstream_rq_non_relative_path.inc()
        return ABSOLUTE_PATH if path else MISSING_PATH
    if path.find(b"#") >= 0:
        stats.downstream_rq_failed_path_normalization.inc()
        return BAD_PATH
    if not settings.rewrites_paths:
        return None
    refusal = _normalise(headers, settings, stats)
    if refusal is None:
        headers.authority = normal_host(authority, settings, local)
    return refusal


def _take_nominated(headers: RequestHeaders) -> bool:
    """Take out what Connection names and would be looked at before the others go; False where it may not name that."""
    nominated = list_tokens(headers.joined(b"connection") or b"")
    if not may_nominate(nominated):
        return False
    if b"host" in nominated:
        headers.authority = None
    if b"expect" in nominated:
        headers.remove(b"expect")  # before it is looked at, as in Envoy
    return True


def may_nominate(tokens: list[bytes]) -> bool:
    """Whether Connection may name these headers: removing some would hide where a request came from."""
    if len(tokens) >= NOMINATION_LIMIT:
        return False
    return not any(token in NEVER_NOMINATED or token.startswith(b":") for token in tokens)


def normal_host(authority: bytes, settings: HttpConnectionManagerSettings, local: Address | None) -> bytes:
    """The authority as `strip_trailing_host_dot` and the options for its port want it."""
    if settings.strip_trailing_host_dot:
        authority = strip_trailing_dot(authority)
    return strip_port(authority, settings.strip_port, local) if settings.strip_port else authority


def strip_trailing_dot(authority: bytes) -> bytes:
    """The authority without a dot at the end of its host."""
    dot = authority.rfind(b".")
    if dot >= 0 and authority[dot + 1 : dot + 2] in (b"", b":"):
        return authority[:dot] + authority[dot + 1 :]
    return authority


def strip_port(authority: bytes, how: str, local: Address | None) -> bytes:
    """The authority without its port: any, or (`matching`) that of the listener (Envoy's `stripPortFromHost`)."""
    host = without_port(authority)
    digits = authority[len(host) + 1 :].removeprefix(b"+")
    if not digits.isdigit() or len(digits.lstrip(b"0")) > LONGEST_NUMBER:
        return authority
    port = int(digits.lstrip(b"0") or b"0")
    if port > LARGEST_NUMBER or (how == "matching" and (local is None or port != local.port)):
        return authority
    return host


def _normalise(
    headers: RequestHeaders, settings: HttpConnectionManagerSettings, stats: HttpConnectionManagerStats
) -> Refusal | None:
    path: bytes | None = headers.path
    action = settings.path_with_escaped_slashes_action
    redirect = False
    if action not in ("KEEP_UNCHANGED", "IMPLEMENTATION_SPECIFIC_DEFAULT") and paths.has_escaped_slashes(headers.path):
        redirect = action == "UNESCAPE_AND_REDIRECT"
        path = headers.path = paths.unescape_slashes(headers.path)
        if action == "REJECT_REQUEST":
            path = None
    if path is not None and settings.normalize_path:
        path = paths.normalize(path)
    if path is None:
        stats.downstream_rq_failed_path_normalization.inc()
        return BAD_PATH
    headers.path = paths.merge_slashes(path) if settings.merge_slashes else path
    if not redirect:
        return None
    stats.downstream_rq_redirected_with_normalized_path.inc()
    return Refusal(307, b"", "path_normalization_failed", close=False, location=headers.path)
