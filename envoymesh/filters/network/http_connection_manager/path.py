"""Path normalisation at the edge (HttpConnectionManager's `normalize_path`, `merge_slashes`,
`path_with_escaped_slashes_action`). Pure functions on bytes; the query is never touched.
"""

from __future__ import annotations

import re
from typing import Final

_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_LONE_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NEW_ESCAPE: Final = re.compile(rb"\x00(?=[0-9A-Fa-f]{2})")
_TO_ESCAPE: Final = re.compile(rb"[\x01-\x20\"<>^`{|}\x7f-\xff]")
_ESCAPED_SLASH: Final = re.compile(rb"%(2[fF]|5[cC])")
_SLASHES: Final = re.compile(rb"/{2,}")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def split_query(path: bytes) -> tuple[bytes, bytes]:
    """The path proper, and the query with its question mark (or empty)."""
    at = path.find(b"?")
    return (path, b"") if at < 0 else (path[:at], path[at:])


def normalize(path: bytes) -> bytes | None:
    """RFC 3986 section 6 normalisation as Envoy's `canonicalPath`; None where the path cannot be normalised.

    Decodes escaped unreserved characters, escapes what may not stand in a path, turns ``\\`` into ``/``, and removes
    dot segments. A path that climbs above the root stays at the root; a lone ``%`` stays, unless decoding what
    follows it would make it an escape (``%%32f``): then it becomes ``%25``, so that decoding creates no new escape.
    """
    bare, query = split_query(path)
    if b"\x00" in bare or b"%00" in bare:
        return None
    if bare.find(b"%") >= 0:
        bare = _decode_escapes(bare)
    bare = bare.replace(b"\\", b"/")
    bare = _TO_ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], bare)
    return _remove_dot_segments(bare) + query


def _decode_escapes(path: bytes) -> bytes:
    # A lone percent sign waits as a NUL, which the path does not have.
    path = _PERCENT.sub(_decode_unreserved, _LONE_PERCENT.sub(b"\x00", path))
    return _NEW_ESCAPE.sub(b"%25", path).replace(b"\x00", b"%")


def _decode_unreserved(match: re.Match[bytes]) -> bytes:
    value = int(match[1], 16)
    return bytes([value]) if value in _UNRESERVED else match[0]


def _remove_dot_segments(path: bytes) -> bytes:
    """RFC 3986 section 5.2.4, for an absolute path."""
    output: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            if output:
                output.pop()
        elif segment != b".":
            output.append(segment)
    if segments and segments[-1] in (b".", b".."):
        output.append(b"")
    return b"/" + b"/".join(output)


def merge_slashes(path: bytes) -> bytes:
    """Runs of slashes become one."""
    bare, query = split_query(path)
    return _SLASHES.sub(b"/", bare) + query


def has_escaped_slashes(path: bytes) -> bool:
    """Whether the path holds %2F or %5C."""
    return _ESCAPED_SLASH.search(split_query(path)[0]) is not None


def unescape_slashes(path: bytes) -> bytes:
    """%2F becomes ``/`` and %5C becomes ``\\``."""
    bare, query = split_query(path)
    return _ESCAPED_SLASH.sub(lambda m: b"/" if m[1][:1] == b"2" else b"\\", bare) + query
