"""Our proxy with a window: `python -m tests.adversarial.watched SOCKET proxy ...` runs `envoymesh proxy ...`.

Whoever connects to the Unix socket gets, as JSON, how many objects of some kinds are alive: what no admin endpoint
tells, and must come back to what it was. The proxy itself runs unchanged.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import threading
from collections import Counter

KINDS = ("QueueTimer", "TcpConnection", "TlsConnection", "ActiveStream", "UpstreamRequest", "Task", "Future")


def _counts() -> dict[str, int]:
    gc.collect()
    found: Counter[str] = Counter(dict.fromkeys(("timers", *KINDS), 0))
    objects = gc.get_objects()
    for each in objects:
        name = type(each).__name__
        if name in KINDS:
            found[name] += 1
            if name == "QueueTimer":
                found["timers"] += each.enabled
    found["objects"] = len(objects)
    return dict(found)


def _serve(listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(json.dumps(_counts()).encode())


def main() -> int:
    """Open the window, then be the proxy."""
    path = sys.argv[1]
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=_serve, args=[listener], daemon=True).start()
    from envoymesh.cli import main as envoymesh

    return envoymesh(sys.argv[2:])


def look(path: str) -> dict[str, int]:
    """What a window shows."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(path)
        data = b""
        while more := client.recv(65536):
            data += more
    found: dict[str, int] = json.loads(data)
    return found


if __name__ == "__main__":
    sys.exit(main())
