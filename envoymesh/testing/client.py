"""Clients of a proxy under test: httpx, with each URL led to its listener. It must not know the proxy."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from envoymesh.testing.errors import TestingError
from envoymesh.testing.rewriting import ListenerPlace

Address = tuple[str, int]
DEFAULT_PORTS = {"http": 80, "https": 443}
TIMEOUT = 30.0


@dataclass(frozen=True)
class Listening:
    """A listener and where it listens now, one address for each of `place.ports`."""

    place: ListenerPlace
    addresses: tuple[Address, ...]


class Listeners:
    """Finds the listener of a request."""

    def __init__(self, listening: Sequence[Listening]) -> None:
        self._all = listening

    def address(self, name: str | int | None = None, scheme: str = "http", port: int | None = None) -> Address:
        """Where to connect to. Errors: TestingError, where no listener is meant.

        Args:
            name: a listener's name, or its port in the file; None leaves it to the URL.
            port: the URL's, a port of the file; None is the first listener of the scheme.
        """
        return self._find(name, scheme, port)[1]

    def base_url(self, name: str | int | None) -> str:
        """What a path alone is asked of: localhost, at the listener's port in the file."""
        found, address = self._find(name, None, None)
        place = found.place.ports[found.addresses.index(address)]
        scheme = "https" if found.place.tls else "http"
        return f"{scheme}://localhost" + (f":{place}" if place not in (0, DEFAULT_PORTS[scheme]) else "")

    def name(self, name: str | int | None, scheme: str | None, port: int | None) -> str:
        """The name of the listener."""
        return self._find(name, scheme, port)[0].place.name

    def _find(self, name: str | int | None, scheme: str | None, port: int | None) -> tuple[Listening, Address]:
        if isinstance(name, str):
            for each in self._all:
                if each.place.name == name and each.addresses:
                    return each, each.addresses[0]
            raise TestingError(f"no listener {name}; there are {self._shown()}")
        wanted = name if name is not None else port
        for each in self._all:
            for number, address in zip(each.place.ports, each.addresses, strict=False):
                if number == wanted and wanted:
                    return each, address
        if wanted and name is not None:
            raise TestingError(f"no listener at port {wanted}; there are {self._shown()}")
        return self._first(scheme, port)

    def _first(self, scheme: str | None, port: int | None) -> tuple[Listening, Address]:
        for each in self._all:
            if each.place.http and each.addresses and scheme in (None, "https" if each.place.tls else "http"):
                if port is not None and port != DEFAULT_PORTS[scheme or "http"]:
                    break
                return each, each.addresses[0]
        what = f"at port {port}" if port is not None else f"for {scheme or 'http'}"
        raise TestingError(f"no listener {what}; there are {self._shown()}")

    def _shown(self) -> str:
        shown = [f"{each.place.name} ({', '.join(map(str, each.place.ports))})" for each in self._all]
        return ", ".join(shown) or "none"


def trust(authorities: str, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    """Trust these certificates, whether they sign or are signed; names are not checked, for all is on localhost.

    Args:
        authorities: PEM.
        pair: the client's own certificate and key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if authorities:
        context.load_verify_locations(cadata=authorities)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def _led(request: httpx.Request, listeners: Listeners, listener: str | int | None) -> None:
    """Have a request go to its listener; what it says of itself (Host, SNI) stays."""
    url = request.url
    host, port = listeners.address(listener, url.scheme, url.port)
    request.extensions = {"sni_hostname": url.host, **request.extensions}
    request.url = url.copy_with(host=host, port=port)


class Transport(httpx.HTTPTransport):
    """httpx's, to the proxy's listeners."""

    def __init__(self, listeners: Listeners, listener: str | int | None, **options: Any) -> None:
        super().__init__(trust_env=False, **options)
        self._listeners = listeners
        self._listener = listener

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        _led(request, self._listeners, self._listener)
        return super().handle_request(request)


class AsyncTransport(httpx.AsyncHTTPTransport):
    """The same for asyncio and trio."""

    def __init__(self, listeners: Listeners, listener: str | int | None, **options: Any) -> None:
        super().__init__(trust_env=False, **options)
        self._listeners = listeners
        self._listener = listener

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        _led(request, self._listeners, self._listener)
        return await super().handle_async_request(request)


class Clients:
    """Makes clients."""

    def __init__(self, listeners: Listeners, context: ssl.SSLContext) -> None:
        self._listeners = listeners
        self._context = context

    def client(self, listener: str | int | None, http2: bool, **options: Any) -> httpx.Client:
        """A client, whose base URL is the listener's."""
        transport = Transport(self._listeners, listener, **self._protocol(http2))
        return httpx.Client(**self._options(listener, options), transport=transport)

    def async_client(self, listener: str | int | None, http2: bool, **options: Any) -> httpx.AsyncClient:
        """The same for asyncio and trio."""
        transport = AsyncTransport(self._listeners, listener, **self._protocol(http2))
        return httpx.AsyncClient(**self._options(listener, options), transport=transport)

    def _protocol(self, http2: bool) -> dict[str, Any]:
        # Without TLS there is nothing to agree by: HTTP/2 is known beforehand.
        return {"http1": not http2, "http2": http2, "verify": self._context}

    def _options(self, listener: str | int | None, options: dict[str, Any]) -> dict[str, Any]:
        base = self._listeners.base_url(listener)
        return {"base_url": base, "trust_env": False, "timeout": TIMEOUT, **options}
