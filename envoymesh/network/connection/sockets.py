"""Sockets: listening ones made, bound and set up as Envoy does. It must not know what is accepted on them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import stat
import struct
import sys
from collections.abc import Sequence
from typing import Any, Final, cast

from envoymesh.errors import BindError
from envoymesh.network.api import Address, PipeAddress

Bytes = bytes | bytearray | memoryview

_IP_FREEBIND: Final = 15
"""Linux's IP_FREEBIND, which Python's socket module does not name."""


_SO_ATTACH_FILTER: Final = 26
"""Linux's, which Python's socket module does not name."""

_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # A = the 13th byte of the TCP header: its flags
    (0x54, 0, 0, 0x12),  # A &= SYN | ACK
    (0x15, 0, 1, 0x02),  # a SYN alone?
    (0x06, 0, 0, 0),  # then drop it,
    (0x06, 0, 0, 0xFFFFFFFF),  # else take the whole packet
)
"""A classic BPF program: (code, jump if true, jump if false, operand), see Linux's networking/filter.rst."""


def ip_literal(text: str) -> str:
    """An IP address in its usual form; the zone of ``fe80::1%eth0`` becomes its number, as Envoy shows it.

    Raises:
        ValueError: it is none, or its zone is not one of this machine's (or not one that such an address can have).
    """
    if "%" not in text:
        return str(ipaddress.ip_address(text))
    found = socket.getaddrinfo(text, 0, socket.AF_INET6, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    host, _, _, zone = cast("tuple[str, int, int, int]", found[0][4])
    return f"{host}%{zone}" if zone else host


def socket_name(address: Address) -> str | bytes | tuple[str, int] | tuple[str, int, int, int]:
    """The name of an address for `bind` and `connect`: Python takes an IPv6 zone as a number of its own."""
    if isinstance(address, PipeAddress):
        # Abstract names begin with a zero byte (unix(7)).
        return b"\0" + os.fsencode(address.host[1:]) if address.is_abstract else address.host
    host, _, zone = address.host.partition("%")
    return (host, address.port, 0, int(zone)) if zone else (host, address.port)


def family_of(address: Address) -> socket.AddressFamily:
    """The kind of socket that an address is for."""
    if isinstance(address, PipeAddress):
        return socket.AF_UNIX
    return socket.AF_INET6 if address.is_ipv6 else socket.AF_INET


def listening_socket(
    address: Address, *, ipv4_compat: bool = False, reuse_port: bool = True, freebind: bool = False
) -> socket.socket:
    """A bound socket that does not listen yet.

    An IPv6 address takes IPv6 only, unless `ipv4_compat` (SocketAddress.ipv4_compat).

    Raises:
        BindError: the system refuses the address; the text is Envoy's.
    """
    try:
        sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    except OSError as error:
        raise _bind_error(address, error) from error
    try:
        sock.setblocking(False)
        if isinstance(address, PipeAddress):
            _bind_pipe(sock, address)
            return sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if freebind:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if address.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if ipv4_compat else 1)
        sock.bind(socket_name(address))
    except OSError as error:
        sock.close()
        raise _bind_error(address, error) from error
    return sock


def _bind_pipe(sock: socket.socket, address: PipeAddress) -> None:
    """As Envoy, take the place of a socket that is there already, also of one that somebody listens at.

    Envoy does so with any file; here a file that is no socket stays, and the address is in use.
    """
    if not address.is_abstract:
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.lstat(address.host).st_mode):
                os.unlink(address.host)
    sock.bind(socket_name(address))
    if address.mode:
        os.chmod(address.host, address.mode)


def let_no_one_in(sock: socket.socket) -> None:
    """Have a listening socket ignore every SYN, so that its queue of accepted connections can be emptied to the end.

    A client that connects then tries again after a second, and finds the socket closed or another one in its place.
    Only Linux can do that; elsewhere a connection that comes between the last accept and the close is reset.
    """
    if sys.platform != "linux":
        return
    import ctypes  # not at the top: this is needed once, at the end

    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _DROP_SYN))
    with contextlib.suppress(OSError):  # a kernel without filters: as elsewhere
        sock.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(_DROP_SYN), ctypes.addressof(program))
        )
        # Compiled code lets go of a value after its last use: the kernel must have read the program by then.
        assert program.raw


def _bind_error(address: Address, error: OSError) -> BindError:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return BindError(f"cannot bind '{address}': {reason}")


def write_at_once(transport: asyncio.Transport, data: Sequence[Bytes]) -> None:
    """Write what the socket takes now, before its transport is aborted: a last message, such as a GOAWAY."""
    if data and not transport.get_write_buffer_size():
        try:
            os.write(transport.get_extra_info("socket").fileno(), b"".join(data))
        except OSError:
            pass  # full, or gone: the connection ends here anyway


def end_with_reset(transport: asyncio.Transport) -> None:
    """Have the close that follows send RST in place of FIN."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def address_of(name: Any) -> Address | None:
    """An Address of what a socket calls its name; IPv4-mapped IPv6 addresses are IPv4, as in Envoy.

    None is a Unix domain socket without a name, as a client's mostly is.
    """
    if isinstance(name, str | bytes):
        return _pipe_of(os.fsdecode(name))
    if not isinstance(name, tuple) or len(name) < 2:
        return None
    host = name[0].removeprefix("::ffff:") if "." in name[0] else name[0]
    if len(name) > 3 and name[3]:
        host = f"{host.partition('%')[0]}%{name[3]}"
    return Address(host, name[1])


def _pipe_of(name: str) -> PipeAddress | None:
    if not name:
        return None
    return PipeAddress(f"@{name[1:]}" if name.startswith("\0") else name)


def remote_address_of(transport: asyncio.BaseTransport, local: Address | None) -> Address | None:
    """An accepted connection's peer. On a Unix domain socket it goes by the listener's name, as in Envoy."""
    return local if isinstance(local, PipeAddress) else address_of(transport.get_extra_info("peername"))
