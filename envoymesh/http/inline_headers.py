"""Headers that Envoy has a place of their own for: of several fields with such a name it makes one, joined with commas.

Of all others each field stays as it is. Which names those are was found out from the real Envoy 1.40, name by name.
Those that frame or route a message (connection, content-length, host, te, ...) are not here: who reads them joins them.
"""

from __future__ import annotations

from typing import Final

from envoymesh.http.headers import HeaderMap

INLINE_REQUEST_HEADERS: Final = frozenset(
    b"accept accept-encoding access-control-request-headers access-control-request-method "
    b"access-control-request-private-network authorization cache-control cdn-loop content-encoding content-type expect "
    b"grpc-accept-encoding grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since origin "
    b"pragma proxy-status referer user-agent via x-client-trace-id x-envoy-attempt-count x-envoy-decorator-operation "
    b"x-envoy-downstream-service-cluster x-envoy-downstream-service-node x-envoy-expected-rq-timeout-ms "
    b"x-envoy-external-address x-envoy-hedge-on-per-try-timeout x-envoy-is-timeout-retry x-envoy-max-retries "
    b"x-envoy-original-host x-envoy-original-path x-envoy-original-url x-envoy-retriable-header-names "
    b"x-envoy-retriable-status-codes x-envoy-retry-grpc-on x-envoy-retry-on x-envoy-upstream-rq-per-try-timeout-ms "
    b"x-envoy-upstream-rq-timeout-ms x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port "
    b"x-forwarded-proto x-request-id".split()
)

INLINE_RESPONSE_HEADERS: Final = frozenset(
    b"access-control-allow-credentials access-control-allow-headers access-control-allow-methods "
    b"access-control-allow-origin access-control-allow-private-network access-control-expose-headers "
    b"access-control-max-age age cache-control content-encoding content-type date etag expires grpc-message "
    b"grpc-status last-modified location proxy-status vary via x-envoy-attempt-count x-envoy-decorator-operation "
    b"x-envoy-degraded x-envoy-immediate-health-check-fail x-envoy-ratelimited "
    b"x-envoy-upstream-canary x-envoy-upstream-healthchecked-cluster x-request-id".split()
)


def join_inline(headers: HeaderMap, names: frozenset[bytes]) -> None:
    """Join what comes twice of these names. For messages with names that come twice: ask before, it is cheaper."""
    seen: set[bytes] = set()
    doubled: set[bytes] = set()
    for name, _ in headers.fields:
        if name in names:
            (doubled if name in seen else seen).add(name)
    for name in doubled:
        headers.join(name)
