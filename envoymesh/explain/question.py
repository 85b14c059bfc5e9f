"""What a dry run is asked: one request and who sends it. It must not know what answers."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from envoymesh.errors import EnvoymeshError
from envoymesh.http.headers import RequestHeaders

_PORTS: Final = {"http": 80, "https": 443}
_FRAMING: Final = (b"content-length", b"transfer-encoding")


class QuestionError(EnvoymeshError):
    """A question that cannot be asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Args:
        path: with its query.
        host: the URL's host, without a port.
        port: where the client connects to; None where the URL does not say.
        authority: the Host header.
        headers: the other ones, names in lower case.
        source: the client's address; empty is this machine.
        sni: the name in the TLS handshake; empty is the URL's host, unless that is an address.
        listener: the listener's name, where the port does not say which.
        chance: from 0 to 1: what is drawn where something is left to chance.
        scheme: ``http`` or ``https``; empty is what the listener speaks.
    """

    method: str = "GET"
    path: str = "/"
    host: str = ""
    port: int | None = None
    authority: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    source: str = ""
    sni: str = ""
    listener: str = ""
    chance: float = 0.5
    scheme: str = ""

    @property
    def server_name(self) -> str:
        """What the TLS handshake says."""
        return self.sni or ("" if _is_address(self.host) else self.host)

    def request_headers(self) -> RequestHeaders:
        """The headers as the client sends them."""
        fields = [(name.lower().encode(), value.encode()) for name, value in self.headers]
        fields = [(name, value) for name, value in fields if name not in _FRAMING]
        if self.body:
            fields.append((b"content-length", b"%d" % len(self.body)))
        path = self.path if self.method != "CONNECT" else ""
        return RequestHeaders(self.method.encode(), path.encode(), self.authority.encode(), b"", fields)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def read_question(
    url: str,
    method: str = "",
    headers: Sequence[str] = (),
    body: str | None = None,
    source: str = "",
    sni: str = "",
    listener: str = "",
    chance: float = 0.5,
) -> Question:
    """A question as it stands on a command line.

    Args:
        url: with or without a scheme; a path alone is asked of any host.
        headers: ``NAME: VALUE`` each; `host` takes the place of the URL's.
    Errors: QuestionError says what is wrong.
    """
    scheme, authority, path = _parts_of(url)
    split = urlsplit(f"//{authority}")
    try:
        port = split.port
    except ValueError as error:
        raise QuestionError(f"the URL's port is not one: {url}") from error
    fields = [_field(each) for each in headers]
    host = next((value for name, value in fields if name in ("host", ":authority")), authority)
    if source and not _is_address(source):
        raise QuestionError(f"--from wants an IP address: {source}")
    return Question(
        method=method or ("GET" if body is None else "POST"),
        path=path,
        host=split.hostname or "",
        port=port if port is not None or not scheme or not authority else _PORTS[scheme],
        authority=host or "localhost",
        headers=[(name, value) for name, value in fields if name not in ("host", ":authority")],
        body=(body or "").encode(),
        source=source,
        sni=sni,
        listener=listener,
        chance=chance,
        scheme=scheme,
    )


def _parts_of(url: str) -> tuple[str, str, str]:
    """Scheme (empty where there is none), authority and path."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    elif scheme.lower() not in _PORTS:
        raise QuestionError(f"the URL is neither http nor https: {url}")
    rest = rest.partition("#")[0]
    starts = [place for place in (rest.find("/"), rest.find("?")) if place >= 0]
    end = min(starts, default=len(rest))
    path = rest[end:]
    if not path.startswith("/"):
        path = f"/{path}"
    if any(ord(each) <= 32 or ord(each) == 127 for each in url):
        raise QuestionError("the URL has a space or a control character, which no client sends")
    return scheme.lower(), rest[:end].rpartition("@")[2], path


def _field(text: str) -> tuple[str, str]:
    # The name of a pseudo-header begins with a colon.
    name, colon, value = text[1:].partition(":")
    name = text[:1] + name
    if not colon or not name.strip():
        raise QuestionError(f"a header is written NAME: VALUE, this is not: {text}")
    return name.strip().lower(), value.strip()
