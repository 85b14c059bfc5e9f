"""Who may ask: what a page in somebody's browser must not make that browser do with an admin that only it can reach.

Two ways are closed. A page of another site sends a form or a fetch: then the browser says so, and nothing is changed.
Or the page's name is made to resolve to the loopback (DNS rebinding): the browser takes the admin for the page's own
site; then Host has the page's name, and nothing is answered. Clients that are no browsers send no such
headers, and are not affected.

It must not know an endpoint, nor believe a header that a page may set (X-Forwarded-Host).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from functools import cache
from typing import Final

_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]@/?#\s]*)(?::(?P<port>\d*))?")
_ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]+)", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

_OWN_SITES: Final = ("same-origin", "none")
_FRAMES: Final = ("iframe", "frame", "embed", "object", "fencedframe")


@dataclass(frozen=True, slots=True)
class Sender:
    """What a request's headers tell of who sends it; each is empty where the header is not there.

    Attributes:
        host: Host or :authority.
        origin: Origin; several, as no browser sends them, are joined by commas.
        fetch_site, fetch_dest: Sec-Fetch-Site and Sec-Fetch-Dest.
        over_loopback: its connection came to an address of the loopback.
    """

    host: str = ""
    origin: str = ""
    fetch_site: str = ""
    fetch_dest: str = ""
    over_loopback: bool = False


UNKNOWN: Final = Sender()


def refusal(sender: Sender, changes: bool, who: str = "The admin") -> str:
    """Why the request is refused, for people; empty when it is not. `changes`: it would change something."""
    if sender.over_loopback and not _is_known(sender.host):
        return (
            f"{who} does not answer to the name in this request's Host header ({sender.host}). "
            "Over the loopback it answers to an IP address, to localhost and to this machine's own name.\n"
        )
    if not changes:
        return ""
    if sender.origin and not _same_site(sender.origin, sender.host):
        return f"{who} changes nothing for a page of another site (Origin: {sender.origin}).\n"
    if sender.fetch_site and sender.fetch_site.lower() not in _OWN_SITES:
        return f"{who} changes nothing for a page of another site (Sec-Fetch-Site: {sender.fetch_site}).\n"
    if sender.fetch_dest.lower() in _FRAMES:
        return f"{who} changes nothing from inside another page (Sec-Fetch-Dest: {sender.fetch_dest}).\n"
    return ""


def is_loopback(host: str) -> bool:
    """Whether an address, as a socket gives it, is one of the loopback."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address.is_loopback if mapped is None else mapped.is_loopback


def _is_known(authority: str) -> bool:
    """Whether no DNS server can have given the name: an address, or a name of this machine. Browsers send some Host."""
    if not authority:
        return True
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return False
    host = _plain(match["host"])
    return host == "localhost" or host.endswith(".localhost") or _is_address(host) or host in _own_names()


def _plain(host: str) -> str:
    """A host in the form in which hosts are compared: in lower case, without a final dot."""
    return host.lower().removesuffix(".")


def _is_address(host: str) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    try:
        socket.inet_aton(host)  # also 127.1 and 0x7f000001, as curl and browsers understand them
    except (OSError, UnicodeEncodeError):
        return False
    return True


@cache
def _own_names() -> frozenset[str]:
    """This machine's name, whole and without its domain."""
    name = _plain(socket.gethostname())
    return frozenset({name, name.partition(".")[0]})


def _same_site(origin: str, authority: str) -> bool:
    """Whether an Origin is the site that Host names; a port that is not written is that of the Origin's scheme."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return False  # "null" is no site, nor are several
    port = _DEFAULT_PORTS[match["scheme"].lower()]
    own = _host_and_port(authority, port)
    return own is not None and own == _host_and_port(match["authority"], port)


def _host_and_port(authority: str, default_port: str) -> tuple[str, str] | None:
    match = _AUTHORITY.fullmatch(authority)
    return (_plain(match["host"]), match["port"] or default_port) if match and match["host"] else None
