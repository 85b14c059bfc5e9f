"""Bodies of answers, of which so much is kept and the rest thrown away. It must not know whose they are."""

from __future__ import annotations

import aiohttp


async def read_body(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The first `limit` bytes. All is read, so that the sender sees an ordinary end; time-outs are the request's."""
    kept = bytearray()
    # StreamReader.read(n) gives what has come so far, which of a large body is its first piece.
    async for piece in content.iter_any():
        kept += piece[: limit - len(kept)]
    return bytes(kept)
