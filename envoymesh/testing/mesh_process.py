"""The process of a test's mesh: the embedded runtime, on ports and a network that are free.

    python -m envoymesh.testing.mesh_process STATE NETWORK PORTS SCALE FILE...

PORTS is JSON of the port here by the one that the description publishes, SCALE of replicas by service. It must not know
what a test does with the mesh.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from envoymesh.sandbox import runtime
from envoymesh.sandbox.compose import Project, load
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.state import State


def moved(project: Project, network: ipaddress.IPv4Network, ports: Mapping[str, int]) -> Project:
    """The same mesh elsewhere, without its page."""
    project, _ = project.parted()
    services = {
        name: replace(service, ports={inner: ports.get(str(outer), outer) for inner, outer in service.ports.items()})
        for name, service in project.services.items()
    }
    return replace(project, network=network, services=services)


def main(words: Sequence[str]) -> int:
    """Run the mesh until it is told to stop."""
    state, network, ports, scale, *files = words
    paths = [Path(each) for each in files]
    try:
        project = load(paths[0], os.environ, paths[1:])
        project = moved(project, ipaddress.IPv4Network(network), json.loads(ports))
        runtime.run(project, State(Path(state)), json.loads(scale), lambda line: print(line, flush=True))
    except SandboxError as error:
        print(f"envoymesh: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
