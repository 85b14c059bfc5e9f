"""The stack of deploy/swarm.yaml on a Swarm of one node, as docs/deploy.md walks it.

The kernel of the machine may lack IPVS, which the routing mesh needs: the stack has deploy/swarm-host-ports.yaml
laid over it. The default differs in how the front's ports are published, and is asked from inside of the front.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import missing
from tests.sandbox.answers import hostname
from tests.sandbox.meshes import FRONT, ROOT, Ports, Rights, free_ports, rights

# The first build makes two images.
pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.timeout(600)]

STACK = "deploy/swarm.yaml"
HOST_PORTS = "deploy/swarm-host-ports.yaml"
IMAGES = {"FRONT_IMAGE": FRONT, "SERVICE1_IMAGE": "service1", "SERVICE2_IMAGE": "service2"}


def docker(*arguments: str, **variables: str) -> str:
    """What a docker command prints; where it fails, its words are the test's."""
    done = subprocess.run(
        ["docker", *arguments], cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-5_000:]}"
    return done.stdout.strip()


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask again and again until the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.2)


class Stack:
    """One deployed stack: `files` are Compose files, the later ones laid over the earlier ones."""

    def __init__(self, name: str, images: dict[str, str], certs: Path, *files: str) -> None:
        self.name = name
        self.ports: Ports = free_ports()
        self._files = [word for file in files for word in ("-c", file)]
        self._variables = {**images, **self.ports.environment(), "CERTS": str(certs)}

    def deploy(self) -> None:
        docker("stack", "deploy", "--resolve-image", "never", *self._files, self.name, **self._variables)
        until(lambda: all(self.healthy(each) for each in (FRONT, "service1", "service2")), 90, "all services healthy")
        # The front may have asked DNS before there was a service; it asks again after 5 s.
        until(
            lambda: all(self.status(f"/service/{each}") == "200" for each in (1, 2)), 20, "the front knows its services"
        )

    def status(self, path: str) -> str:
        """The status of an answer of the front's, asked from inside of it."""
        (front,) = self.healthy(FRONT)
        url = f"http://127.0.0.1:8080{path}"
        return docker("exec", front, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)

    def remove(self) -> None:
        """Leave nothing: `stack rm` returns before containers and network are gone."""
        docker("stack", "rm", self.name)
        label = f"label=com.docker.stack.namespace={self.name}"
        until(lambda: not docker("ps", "-aq", "--filter", label), 60, "no container left")
        until(lambda: not docker("network", "ls", "-q", "--filter", label), 60, "no network left")

    def service(self, name: str) -> str:
        """A service's full name."""
        return f"{self.name}_{name}"

    def healthy(self, name: str) -> list[str]:
        """The ids of a service's healthy containers."""
        label = f"label=com.docker.swarm.service.name={self.service(name)}"
        return docker("ps", "-q", "--filter", label, "--filter", "health=healthy").split()

    def scale(self, name: str, count: int) -> None:
        docker("service", "scale", "--detach", f"{self.service(name)}={count}")
        until(lambda: len(self.healthy(name)) == count, 90, f"{count} healthy replicas of {name}")


# After the images in every list of arguments: the engine need not be in a Swarm while they are built (minutes).
@pytest.fixture(scope="module")
def swarm(docker_engine: None) -> Iterator[None]:
    """This engine is a manager of a Swarm; one that was made here is left again."""
    made = docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"
    if made:
        try:
            docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        except AssertionError as error:
            missing("docker", f"this engine makes no Swarm ({error})")
    yield
    if made:
        docker("swarm", "leave", "--force")


@pytest.fixture(scope="module")
def images(docker_engine: None) -> Iterator[dict[str, str]]:
    """The images' names by the variable that deploy/swarm.yaml reads them from; built as a project of their own."""
    project = f"envoymesh-swarm-{os.getpid()}"
    docker("compose", "build", "--quiet", COMPOSE_PROJECT_NAME=project)
    names = {variable: f"{project}-{service}" for variable, service in IMAGES.items()}
    yield names
    docker("image", "rm", *names.values())


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    subprocess.run([sys.executable, "certs/generate.py", str(folder)], cwd=ROOT, check=True)
    return folder


@contextmanager
def deployed(stack: Stack) -> Iterator[Stack]:
    try:
        stack.deploy()
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def stack(images: dict[str, str], certs: Path, swarm: None) -> Iterator[Stack]:
    """The stack, its front published at this node's own ports."""
    with deployed(Stack(f"envoymesh-{os.getpid()}", images, certs, STACK, HOST_PORTS)) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.ports.proxy}", timeout=20) as made:
        yield made


def answering(client: httpx.Client, requests: int) -> Counter[str]:
    """How many of so many requests each replica of service1 answers."""
    return Counter(hostname(client.get("/service/1")) for _ in range(requests))


def scaled(stack: Stack, client: httpx.Client, count: int) -> None:
    """service1 has so many replicas, and each answers."""
    stack.scale("service1", count)
    until(lambda: len(answering(client, 2 * count)) == count, 30, f"{count} replicas answer")


def test_five_replicas_take_turns_exactly(stack: Stack, client: httpx.Client) -> None:
    scaled(stack, client, 5)
    assert sorted(answering(client, 20).values()) == [4, 4, 4, 4, 4]


def test_a_killed_task_is_replaced(stack: Stack, client: httpx.Client) -> None:
    scaled(stack, client, 5)
    before = set(stack.healthy("service1"))
    victim = min(before)
    docker("kill", victim)
    until(lambda: len(set(stack.healthy("service1")) - {victim}) == 5, 60, "a replica in the killed one's place")
    assert len(set(stack.healthy("service1")) - before) == 1
    until(lambda: len(answering(client, 10)) == 5, 30, "five replicas answer again")


def test_configs_and_secrets_are_in_use(stack: Stack, certs: Path) -> None:
    (front,) = stack.healthy(FRONT)
    assert docker("exec", front, "cat", "/etc/envoy.yaml") == (ROOT / "front-envoy/envoy.yaml").read_text().strip()
    sidecar = docker("exec", stack.healthy("service2")[0], "cat", "/etc/service-envoy.yaml")
    assert sidecar == (ROOT / "service-envoy/service-envoy.yaml").read_text().strip()
    # The certificate that the front shows is the secret, and nobody but its own user reads the key.
    shown = ssl.get_server_certificate(("127.0.0.1", stack.ports.https), timeout=20)
    assert shown.split() == (certs / "front-envoy.crt").read_text().split()
    said = docker("exec", front, "stat", "-L", "-c", "%a %u", "/etc/envoy/certs/front-envoy.key")
    assert said == "400 10001"


@pytest.mark.parametrize("service", [FRONT, "service1", "service2"])
def test_containers_have_no_rights_to_speak_of(stack: Stack, service: str) -> None:
    # Swarm has no word for no_new_privileges.
    expected = Rights(user="10001", read_only=True, capabilities={"0" * 16}, no_new_privileges=False)
    assert rights(stack.healthy(service)[0]) == expected


class Load:
    """Clients that ask again and again, each on its own connection, until the end of the block; what they got."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, url: str) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._over.is_set():
                try:
                    answer = str(client.get(url).status_code)
                except httpx.HTTPError as error:
                    answer = repr(error)
                # Leaves the machine some time for the replicas that start.
                time.sleep(0.005)
                with self._lock:
                    self.answers[answer] += 1


def test_a_rolling_update_loses_no_request(stack: Stack, client: httpx.Client) -> None:
    scaled(stack, client, 3)
    before = set(stack.healthy("service1"))
    with Load(f"http://127.0.0.1:{stack.ports.proxy}/service/1") as load:
        docker("service", "update", "--detach", "--force", stack.service("service1"))
        state = "{{.UpdateStatus.State}}"
        until(
            lambda: docker("service", "inspect", "--format", state, stack.service("service1")) == "completed",
            150,
            "the update is completed",
        )
    after = set(stack.healthy("service1"))
    assert len(after) == 3
    assert not before & after
    assert set(load.answers) == {"200"}, load.answers


def test_the_default_publishes_on_every_node(images: dict[str, str], certs: Path, swarm: None) -> None:
    """What the engine was told, and an answer from inside: the kernel may have no routing mesh to come in by."""
    with deployed(Stack(f"envoymesh-default-{os.getpid()}", images, certs, STACK)) as running:
        said = docker("service", "inspect", "--format", "{{json .Endpoint.Ports}}", running.service(FRONT))
        assert {(each["PublishedPort"], each["PublishMode"]) for each in json.loads(said)} == {
            (port, "ingress") for port in (running.ports.proxy, running.ports.https, running.ports.admin)
        }
        assert running.status("/service/1") == "200"
