"""A front, a back and the admin at Unix domain sockets. It must not know what tests expect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.integration.harness import bootstrap, catch_all, http_listener, to_cluster

TEA = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}


def pipe(path: Path | str, **more: Any) -> dict[str, Any]:
    return {"address": {"pipe": {"path": str(path), **more}}}


def host_at(name: str, path: Path | str) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": pipe(path)}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}


def mesh(folder: Path) -> dict[str, Any]:
    """A front that asks a back, the admin, all at sockets; the back is at an abstract name."""
    abstract = f"@envoymesh-test-{os.getpid()}-{folder.name}"
    front = {**http_listener("front", catch_all(to_cluster("back"))), **pipe(folder / "front.sock", mode=0o600)}
    back = {**http_listener("back", catch_all(TEA)), **pipe(abstract)}
    config = bootstrap([front, back], [host_at("back", abstract)])
    config["admin"] = {**pipe(folder / "admin.sock", mode=0o640), "access_log_path": str(folder / "admin.log")}
    return config
