"""Request targets: the four forms of RFC 9112 section 3.2, and what an authority may look like.

Pure functions. This module must not know of headers or connections.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from envoymesh.errors import CodecProtocolError

INVALID_URL: Final = "http1.invalid_url"

# The characters that Envoy lets pass in a Host field.
_AUTHORITY: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")
_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^#]*)")
_HOST_PORT: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?")


class Target(NamedTuple):
    """A request target's parts; `authority` is None where the target has none."""

    scheme: bytes
    authority: bytes | None
    path: bytes


def is_valid_authority(authority: bytes) -> bool:
    """Whether it has only characters that a host and port, with user information, may have."""
    return _AUTHORITY.fullmatch(authority) is not None


def parse_target(method: bytes, url: bytes, allow_absolute_url: bool) -> Target:
    """Take apart a target that does not begin with a slash.

    Raises:
        CodecProtocolError: not a target that this method may have.
    """
    if method == b"CONNECT":
        if not _is_host_and_port(url, port_needed=True):
            raise CodecProtocolError(INVALID_URL)
        return Target(b"", url, b"")
    if url == b"*" and method == b"OPTIONS":
        return Target(b"", None, url)
    if not allow_absolute_url and _ABSOLUTE.fullmatch(url):
        # Left as it is: as in Envoy, the connection manager refuses a target that is no path.
        return Target(b"", None, url)
    return _parse_absolute(url)


def _parse_absolute(url: bytes) -> Target:
    match = _ABSOLUTE.fullmatch(url)
    if match is None:
        raise CodecProtocolError(INVALID_URL)
    scheme, authority, path = match[1].lower(), match[2].rpartition(b"@")[2], match[3]
    if scheme not in (b"http", b"https"):
        raise CodecProtocolError("http1.invalid_scheme")
    if not _is_host_and_port(authority, port_needed=False):
        raise CodecProtocolError(INVALID_URL)
    return Target(scheme, authority, path or b"/")


def _is_host_and_port(authority: bytes, port_needed: bool) -> bool:
    match = _HOST_PORT.fullmatch(authority)
    if match is None or not is_valid_authority(authority):
        return False
    port = match[1]
    return not port_needed if port is None else int(port) <= 65535
