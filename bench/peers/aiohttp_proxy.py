"""The reverse proxy that one writes with aiohttp: its server, its client, bodies streamed, on uvloop.

Run: python aiohttp_proxy.py PORT HOST:PORT
"""

from __future__ import annotations

import sys

import aiohttp
import uvloop
from aiohttp import web

# RFC 9110 section 7.6.1: they concern one connection; aiohttp frames bodies by itself.
HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session")


def kept(headers: aiohttp.typedefs.LooseHeaders) -> list[tuple[str, str]]:
    """The headers that go on."""
    return [(name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP]


def handler(upstream: str) -> aiohttp.web_app.Handler:
    """The one handler, sending to `upstream`."""

    async def forward(request: web.Request) -> web.StreamResponse:
        body = request.content if request.body_exists else None
        url = f"http://{upstream}{request.rel_url}"
        session = request.app[SESSION]
        async with session.request(
            request.method, url, headers=kept(request.headers), data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=kept(answer.headers))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    return forward


async def session_of(app: web.Application):
    """A client session for the application's life."""
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)) as session:
        app[SESSION] = session
        yield


def main() -> None:
    """Serve until a signal."""
    app = web.Application(client_max_size=0)
    app.cleanup_ctx.append(session_of)
    app.router.add_route("*", "/{path:.*}", handler(sys.argv[2]))
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
