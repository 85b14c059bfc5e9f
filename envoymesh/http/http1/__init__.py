"""The HTTP/1 codec, both roles, without I/O (RFC 9112). Nothing here opens a socket, reads a clock or logs."""

from envoymesh.http.http1.client import Http1ClientCodec
from envoymesh.http.http1.server import Http1ServerCodec
from envoymesh.http.http1.settings import HeadersWithUnderscoresAction, Http1Settings, Http1Stats

__all__ = ["HeadersWithUnderscoresAction", "Http1ClientCodec", "Http1ServerCodec", "Http1Settings", "Http1Stats"]
