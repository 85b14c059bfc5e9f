"""docker-compose.yaml and the files laid over it, read into what the embedded runtime needs of them.

Fields that only matter to containers (build, networks, init, ...) are left to Compose. This module must not start
anything.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.interpolation import interpolate
from envoymesh.sandbox.overlay import EXTENSION, dependency_mapping, environment_mapping, merge, volume_target

TOP_FIELDS = frozenset({"network", "title", "watch"})
EXTENSION_FIELDS = frozenset({"processes", "configs", "files", "generated", "try", "page"})
RESTART_POLICIES = ("no", "on-failure", "always", "unless-stopped")
DEFAULT_NETWORK = "127.0.0.0/16"
# Here every published port is one of the loopback anyway.
_PORT = re.compile(r"(?:(?:127\.0\.0\.1:)?(?P<published>\d+):)?(?P<target>\d+)(?:/tcp)?")
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>us|ms|s|m|h)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """`healthcheck` of a service; times in seconds, Compose's defaults. `test` begins with CMD, CMD-SHELL or NONE."""

    test: tuple[str, ...] = ("NONE",)
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service.

    Args:
        processes: command by name, in start order.
        configs: proxy configuration (a path below the project folder) by its path in the image.
        files: file or folder likewise, used where it lies. A bind mount of `volumes` takes the place of either.
        generated: command by the path in the image of the folder that it fills.
        ports: published port by the container's port; empty when the service publishes none.
        dependencies: name of another service -> whether it must be healthy first, and not only started.
        grace: seconds between SIGTERM and SIGKILL.
        tries: command lines for people to try.
        page: the address of the page that it is, for people; nothing waits for such a service. Empty for others.
    """

    name: str
    processes: Mapping[str, tuple[str, ...]]
    configs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    generated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    dependencies: Mapping[str, bool] = field(default_factory=dict)
    healthcheck: HealthCheck = HealthCheck()
    restart: str = "no"
    grace: float = 10.0
    replicas: int = 1
    tries: tuple[str, ...] = ()
    page: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """The whole description.

    Args:
        file: the first of its files, whose folder all relative paths start from.
        network: the loopback network of the replicas' addresses.
        title: what it shows, of an example; `watch` says in sentences what is to be seen.
        overlays: the files laid over the first.
        name: Compose's name for it; empty for that of the folder.
    """

    file: Path
    network: ipaddress.IPv4Network
    services: Mapping[str, Service]
    title: str = ""
    watch: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    name: str = ""

    def parted(self) -> tuple[Project, Project]:
        """The mesh, and its pages."""
        pages = {name: each for name, each in self.services.items() if each.page}
        mesh = {name: each for name, each in self.services.items() if not each.page}
        return replace(self, services=mesh), replace(self, services=pages)

    @property
    def folder(self) -> Path:
        """The folder that every relative path in the file starts from."""
        return self.file.parent

    def in_start_order(self) -> list[Service]:
        """The services, each after all that it depends on. Errors: SandboxError for a circle."""
        ordered: dict[str, Service] = {}
        left = dict(self.services)
        while left:
            ready = [each for each in left.values() if all(name in ordered for name in each.dependencies)]
            if not ready:
                raise SandboxError(f"{self.file}: the services depend on each other in a circle: {', '.join(left)}")
            for each in ready:
                ordered[each.name] = left.pop(each.name)
        return list(ordered.values())


def load(file: Path, environment: Mapping[str, str], overlays: Sequence[Path] = ()) -> Project:
    """Read a Compose file, and lay others over it, as `docker compose -f FILE -f OVERLAY` does.

    Errors: SandboxError naming the file and the field.
    """
    document = _read(file, environment)
    for each in overlays:
        document = merge(document, _read(each, environment))
    try:
        return replace(_project(file, document), overlays=tuple(overlays))
    except SandboxError as error:
        raise SandboxError(f"{' with '.join(map(str, [file, *overlays]))}: {error}") from None


def _read(file: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SandboxError(f"{file}: cannot read the description of the mesh: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SandboxError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return _mapping(interpolate(document, environment), "the file")
    except SandboxError as error:
        raise SandboxError(f"{file}: {error}") from None


def _project(file: Path, top: dict[str, Any]) -> Project:
    extension = _mapping(top.get(EXTENSION), EXTENSION)
    _check_known(extension, TOP_FIELDS, EXTENSION)
    services = {
        name: _service(name, _mapping(value, f"services.{name}"))
        for name, value in _mapping(top.get("services"), "services").items()
    }
    if not services:
        raise SandboxError("services: there is none")
    for service in services.values():
        _check_dependencies(service, services)
    return Project(
        file=file,
        network=_network(extension.get("network", DEFAULT_NETWORK)),
        services=services,
        title=str(extension.get("title", "")),
        name=str(top.get("name") or ""),
        watch=_words(extension["watch"], f"{EXTENSION}.watch") if "watch" in extension else (),
    )


def _check_dependencies(service: Service, services: Mapping[str, Service]) -> None:
    for name in service.dependencies:
        where = f"services.{service.name}.depends_on"
        if name not in services:
            raise SandboxError(f"{where}: there is no service {name}")
        if service.page or services[name].page:
            raise SandboxError(f"{where}: {name}: a page waits for nothing, and nothing for a page")


def _check_known(extension: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(extension.keys() - known)
    if unknown:
        raise SandboxError(f"{where}.{unknown[0]}: unknown; known are {', '.join(sorted(known))}")


def _network(value: Any) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise SandboxError(f"{EXTENSION}.network: {error}") from None
    if not network.is_loopback or network.prefixlen > 16:
        raise SandboxError(f"{EXTENSION}.network: {network} is not a loopback network of /16 or larger")
    return network


def _service(name: str, fields: dict[str, Any]) -> Service:
    where = f"services.{name}"
    extension = _mapping(fields.get(EXTENSION), f"{where}.{EXTENSION}")
    _check_known(extension, EXTENSION_FIELDS, f"{where}.{EXTENSION}")
    processes = _commands(extension.get("processes"), f"{where}.{EXTENSION}.processes")
    if not processes:
        raise SandboxError(f"{where}.{EXTENSION}.processes: missing, so there is nothing to run without Docker")
    configs = _strings(extension.get("configs"), f"{where}.{EXTENSION}.configs")
    mounts = _bind_mounts(fields.get("volumes"), f"{where}.volumes")
    return Service(
        name=name,
        processes=processes,
        configs={target: mounts.pop(target, source) for target, source in configs.items()},
        files={**_strings(extension.get("files"), f"{where}.{EXTENSION}.files"), **mounts},
        generated=_commands(extension.get("generated"), f"{where}.{EXTENSION}.generated"),
        environment=_environment(fields.get("environment"), f"{where}.environment"),
        ports=_ports(fields.get("ports"), f"{where}.ports"),
        dependencies=_dependencies(fields.get("depends_on"), f"{where}.depends_on"),
        healthcheck=_healthcheck(_mapping(fields.get("healthcheck"), f"{where}.healthcheck"), f"{where}.healthcheck"),
        restart=_restart(fields.get("restart", "no"), f"{where}.restart"),
        grace=_seconds(fields.get("stop_grace_period", "10s"), f"{where}.stop_grace_period"),
        replicas=_count(fields.get("scale", 1), f"{where}.scale"),
        tries=_words(extension["try"], f"{where}.{EXTENSION}.try") if "try" in extension else (),
        page=str(extension.get("page", "")),
    )


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SandboxError(f"{where}: a mapping is expected, not {value!r}")
    return value


def _strings(value: Any, where: str) -> dict[str, str]:
    return {str(key): str(each) for key, each in _mapping(value, where).items()}


def _commands(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    return {str(key): _words(each, f"{where}.{key}") for key, each in _mapping(value, where).items()}


def _words(value: Any, where: str) -> tuple[str, ...]:
    # A colon and a space make a mapping of what was meant for a sentence.
    if not isinstance(value, list) or not value or any(isinstance(each, dict | list) for each in value):
        raise SandboxError(f"{where}: a list of words is expected, not {value!r}")
    return tuple(str(each) for each in value)


def _environment(value: Any, where: str) -> dict[str, str]:
    return _strings(environment_mapping(value), where)


def _bind_mounts(value: Any, where: str) -> dict[str, str]:
    """The file or folder here by its place in the container; named and nameless volumes are left to Compose."""
    mounts = {}
    for index, each in enumerate(value or []):
        source, target = _source(each), volume_target(each)
        if source.startswith(("./", "../", "/", "~")) and target != source:
            if not target.startswith("/"):
                raise SandboxError(f"{where}[{index}]: {target!r} is no absolute path in the container")
            mounts[target] = os.path.expanduser(source)
    return mounts


def _source(volume: Any) -> str:
    if isinstance(volume, dict):
        return str(volume.get("source", "")) if volume.get("type") == "bind" else ""
    return str(volume).partition(":")[0]


def _ports(value: Any, where: str) -> dict[int, int]:
    ports = {}
    for index, each in enumerate(value or []):
        match = _PORT.fullmatch(str(each))
        numbers = [int(number) for number in match.groups() if number is not None] if match else []
        if match is None or not all(0 < number < 65536 for number in numbers):
            raise SandboxError(f"{where}[{index}]: {each!r} is not PUBLISHED:PORT with ports from 1 to 65535")
        ports[numbers[-1]] = numbers[0]
    return ports


def _dependencies(value: Any, where: str) -> dict[str, bool]:
    return {
        name: _mapping(each, f"{where}.{name}").get("condition") == "service_healthy"
        for name, each in _mapping(dependency_mapping(value), where).items()
    }


def _healthcheck(fields: dict[str, Any], where: str) -> HealthCheck:
    if not fields or fields.get("disable"):
        return HealthCheck()
    test = fields.get("test")
    words = ("CMD-SHELL", test) if isinstance(test, str) else _words(test, f"{where}.test")
    if words[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise SandboxError(f"{where}.test[0]: {words[0]!r} is none of CMD, CMD-SHELL, NONE")
    return HealthCheck(
        test=words,
        interval=_seconds(fields.get("interval", "30s"), f"{where}.interval"),
        timeout=_seconds(fields.get("timeout", "30s"), f"{where}.timeout"),
        retries=_count(fields.get("retries", 3), f"{where}.retries"),
        start_period=_seconds(fields.get("start_period", "0s"), f"{where}.start_period"),
    )


def _restart(value: Any, where: str) -> str:
    # Unquoted, YAML takes the word no for a false.
    policy = "no" if value is False else str(value).partition(":")[0]
    if policy not in RESTART_POLICIES:
        raise SandboxError(f"{where}: {value!r} is none of {', '.join(RESTART_POLICIES)}")
    return policy


def _seconds(value: Any, where: str) -> float:
    """A Compose duration such as 1m30s, in seconds."""
    parts = list(_DURATION.finditer(str(value)))
    if not parts or "".join(part[0] for part in parts) != str(value):
        raise SandboxError(f"{where}: {value!r} is not a duration such as 90s or 1m30s")
    return sum(float(part["number"]) * _UNITS[part["unit"]] for part in parts)


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not str(value).isdigit():
        raise SandboxError(f"{where}: {value!r} is not a number of 0 or more")
    return int(value)
