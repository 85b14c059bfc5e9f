"""Runs the sandbox's configurations through both proxies at the same time. It must not compare."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.integration.harness import Proxy
from tests.parity.stats_mesh import ROOT, TIERS, MakeProxy, Snapshot, StatsMesh

# Snapshots by tier, and what the fixed sequence of admin requests added.
Run = tuple[dict[str, Snapshot], dict[str, int]]


def run_both(oracle: Path, folder: Path) -> tuple[Run, Run]:
    """(the real Envoy's, ours)."""
    certificates = folder / "certs"
    subprocess.run([sys.executable, ROOT / "certs/generate.py", certificates], check=True, capture_output=True)
    with ThreadPoolExecutor(2) as pool:
        real = pool.submit(_observe, partial(Proxy.real, oracle), folder / "real", certificates)
        ours = pool.submit(_observe, Proxy.ours, folder / "ours", certificates)
        return real.result(), ours.result()


def _observe(make_proxy: MakeProxy, folder: Path, certificates: Path) -> Run:
    with StatsMesh(make_proxy, folder, certificates) as mesh:
        mesh.drive()
        snapshots = {tier: mesh.snapshot(tier) for tier in TIERS}
        return snapshots, mesh.admin_growth()
