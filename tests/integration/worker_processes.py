"""What tests of several workers share: configurations, clients, and the processes below a proxy's parent."""

import os
import re
import socket
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.integration.harness import Address, Proxy, bootstrap, catch_all, http_listener

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TEA = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}
TWO = ("--concurrency", "2")


def direct(**more: Any) -> dict[str, Any]:
    return bootstrap([http_listener("main", catch_all(TEA))], [], **more)


def ask(address: Address) -> bytes:
    """One request on a connection of its own."""
    with socket.create_connection(address, 10) as client:
        client.sendall(GET)
        answer = b""
        while not answer.endswith(b"tea") and (data := client.recv(4096)):
            answer += data
        return answer


def post(proxy: Proxy, path: str) -> str:
    host, port = proxy.admin
    with urlopen(Request(f"http://{host}:{port}{path}", method="POST"), timeout=10) as answer:
        return answer.read().decode()


def workers_of(proxy: Proxy) -> list[int]:
    """The process ids of the workers, which are the parent's only children."""
    return [
        int(pid) for pid in Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children").read_text().split()
    ]


def is_running(pid: int) -> bool:
    """Whether the process is there; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def listening(pid: int) -> set[str]:
    """The inodes of the TCP sockets on which the process listens."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    of_system = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
    return of_system & set(map(_target, Path(f"/proc/{pid}/fd").iterdir()))


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # a descriptor that has been closed meanwhile


def by_worker(proxy: Proxy) -> list[int]:
    """Connections that each worker has accepted."""
    found = re.findall(r"^listener\.127.*\.worker_\d\.downstream_cx_total: (\d+)$", proxy.admin_get("/stats"), re.M)
    return [int(each) for each in found]


def ask_or_nothing(address: Address) -> bytes:
    """What comes back, which is nothing from a listener that is full."""
    try:
        return ask(address)
    except ConnectionError:
        return b""
