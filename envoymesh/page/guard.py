"""Who may ask the page's server, and what browsers are told about its pages. The same rules as the admin's guard.py.

Whatever changes something must carry the token of the printed address; whoever cannot read that address, a page of
another site or another user of this machine, does not have it.
"""

from __future__ import annotations

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from envoymesh.admin.guard import Sender, refusal
from envoymesh.page.errors import PageError

TOKEN_HEADER = "x-envoymesh-token"
HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    # An upgrade must not show an old page; ETags make asking again cheap.
    "cache-control": "no-cache",
}
NOT_ALLOWED = "The token is missing or wrong: open the address that was printed when the mesh was started."


def make_guard(token: str) -> Middleware:
    """The one middleware: refuses, and turns errors into sentences."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check(request, token)
            return await handler(request)
        except PageError as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return web.json_response({"error": f"{error.reason}."}, status=error.status)

    return guard


def _check(request: web.Request, token: str) -> None:
    """Errors: PageError (403)."""
    sender = Sender(
        host=",".join(request.headers.getall("host", [])),
        origin=",".join(request.headers.getall("origin", [])),
        fetch_site=request.headers.get("sec-fetch-site", ""),
        fetch_dest=request.headers.get("sec-fetch-dest", ""),
        over_loopback=True,
    )
    reason = refusal(sender, changes=request.path.startswith("/api/"), who="The page's server")
    if reason:
        raise PageError(reason.strip(), 403)
    if request.method not in ("GET", "HEAD"):
        given = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise PageError(NOT_ALLOWED, 403)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For every answer."""
    response.headers.update(HEADERS)
    response.headers.pop("server", None)
    if response.content_type == "application/javascript":
        response.content_type = "text/javascript"
