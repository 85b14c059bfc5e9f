"""The HTTP/2 codec, both roles, without I/O (RFC 9113, RFC 7541, RFC 8441). Nothing here opens a socket or logs."""

from envoymesh.http.http2.client import Http2ClientCodec
from envoymesh.http.http2.frames import HTTP2_PREFACE_START
from envoymesh.http.http2.server import Http2ServerCodec
from envoymesh.http.http2.settings import Http2Settings
from envoymesh.http.http2.stats import Http2Stats

__all__ = ["HTTP2_PREFACE_START", "Http2ClientCodec", "Http2ServerCodec", "Http2Settings", "Http2Stats"]
