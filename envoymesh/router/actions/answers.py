"""Routes that answer themselves: direct responses and redirects. They must not know the router filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoymesh.formatter.body import BodyFormat
from envoymesh.http.headers import RequestHeaders
from envoymesh.router.actions.rewrites import PrefixRewrite, RegexRewrite, RegexSubstitution
from envoymesh.router.authority import split_port

DIRECT_RESPONSE: Final = "direct_response"
"""response_code_details of what a route answers, redirects too."""


@dataclass(frozen=True, slots=True)
class DirectResponseAction:
    """`direct_response`: answer here.

    Args:
        body_format: what makes the body; the configured one is then its ``%LOCAL_REPLY_BODY%``.
    """

    status: int
    body: bytes = b""
    body_format: BodyFormat | None = None

    @property
    def content_type(self) -> bytes:
        """The content-type of the body that a format makes; empty is text/plain."""
        return b"" if self.body_format is None else self.body_format.content_type

    @property
    def has_location(self) -> bool:
        """Whether the answer says where the request went: as in Envoy 201 and all redirections do."""
        return self.status == 201 or 300 <= self.status < 400


@dataclass(frozen=True, slots=True)
class RedirectAction:
    """`redirect`: answer with a location (envoy.config.route.v3.RedirectAction). Empty values leave a part as it is."""

    status: int = 301
    scheme: bytes = b""
    host: bytes = b""
    port: int = 0
    path: bytes = b""
    prefix_rewrite: bytes = b""
    strip_query: bool = False
    regex_rewrite: RegexSubstitution | None = None

    @property
    def path_rewrite(self) -> PrefixRewrite | RegexRewrite | None:
        """How the request's path is rewritten before the location is made of it; None leaves it."""
        if self.regex_rewrite is not None:
            return RegexRewrite(self.regex_rewrite)
        return PrefixRewrite(self.prefix_rewrite) if self.prefix_rewrite else None

    def location(self, headers: RequestHeaders) -> bytes:
        """The new URI of a request whose path is rewritten already (`Utility::newUri`)."""
        scheme = self.scheme or headers.scheme
        port = b":%d" % self.port if self.port else b""
        host = self.host or _request_host(headers, scheme, port)
        path = self._new_path(headers.path)
        return scheme + b"://" + host + port + (path if path.startswith(b"/") else b"/" + path)

    def _new_path(self, path: bytes) -> bytes:
        if b"?" in self.path:
            return self.path
        bare, mark, query = path.partition(b"?")
        bare = self.path or bare
        return bare if self.strip_query else bare + mark + query


def _request_host(headers: RequestHeaders, scheme: bytes, port: bytes) -> bytes:
    """The request's own host, without a port that is its scheme's default or that is replaced."""
    host = headers.authority or b""
    bare, port_in_host = split_port(host)
    if not port_in_host:
        return host
    was = headers.get(b"x-forwarded-proto") or headers.scheme
    default = b":443" if was == b"https" else b":80"
    drop = bool(port) or (scheme != was and port_in_host == default)
    return bare if drop else host
