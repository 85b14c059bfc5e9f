from pathlib import Path

import pytest

from envoymesh.sandbox.compose import HealthCheck, load
from envoymesh.sandbox.errors import SandboxError

ROOT = Path(__file__).resolve().parents[3]
MINIMAL = "services: {app: {x-envoymesh: {processes: {main: [run]}}}}"


def written(folder: Path, text: str) -> Path:
    file = folder / "docker-compose.yaml"
    file.write_text(text)
    return file


def test_the_projects_own_description() -> None:
    project = load(ROOT / "docker-compose.yaml", {"PORT_PROXY": "9080"})
    mesh, pages = project.parted()
    assert [each.name for each in mesh.in_start_order()] == ["service1", "service2", "front-envoy"]
    assert [each.page for each in pages.services.values()] == ["http://127.0.0.1:8002/"]
    assert pages.services["page"].ports == {8002: 8002}
    front, service = project.services["front-envoy"], project.services["service1"]
    assert front.ports == {8080: 9080, 8443: 8443, 8001: 8001}
    assert front.dependencies == {"service1": True, "service2": True}
    assert list(service.processes) == ["app", "sidecar"]
    assert service.environment == {"SERVICE_NAME": "1", "FAULTS": "on"}
    assert service.healthcheck.test[:2] == ("CMD", "curl")
    assert service.healthcheck.interval == 2.0
    assert service.restart == "unless-stopped"
    assert service.grace == 15.0
    assert not service.ports
    assert str(project.network) == "127.0.0.0/16"


def test_every_file_that_the_description_names_is_there() -> None:
    for service in load(ROOT / "docker-compose.yaml", {}).services.values():
        for source in [*service.configs.values(), *service.files.values()]:
            assert (ROOT / source).is_file()


def test_defaults_are_composes(tmp_path: Path) -> None:
    service = load(written(tmp_path, MINIMAL), {}).services["app"]
    assert service.healthcheck == HealthCheck(("NONE",), 30.0, 30.0, 3, 0.0)
    assert (service.restart, service.grace, service.replicas) == ("no", 10.0, 1)


def with_fields(fields: str) -> str:
    return f"services: {{app: {{x-envoymesh: {{processes: {{main: [run]}}}}, {fields}}}}}"


def test_short_and_long_forms(tmp_path: Path) -> None:
    fields = "environment: [A=1, B], healthcheck: {test: echo}, stop_grace_period: 1m30s, restart: no, depends_on: []"
    service = load(written(tmp_path, with_fields(fields)), {}).services["app"]
    assert service.environment == {"A": "1", "B": ""}
    assert service.healthcheck.test == ("CMD-SHELL", "echo")
    assert service.grace == 90.0
    assert service.restart == "no"


def test_a_file_laid_over_it(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("services: {app: {scale: 2, environment: [A=$B]}, other: {x-envoymesh: {processes: {m: [go]}}}}")
    project = load(written(tmp_path, MINIMAL), {"B": "b"}, [overlay])
    assert project.file == tmp_path / "docker-compose.yaml"
    assert (project.services["app"].replicas, project.services["app"].environment) == (2, {"A": "b"})
    assert project.services["app"].processes == {"main": ("run",)}
    assert project.services["other"].processes == {"m": ("go",)}


def test_errors_of_a_file_laid_over_it_name_it(tmp_path: Path) -> None:
    file, overlay = written(tmp_path, MINIMAL), tmp_path / "overlay.yaml"
    for text, message in (
        ("[1]", f"{overlay}: the file: a mapping is expected"),
        ("a: $", f"{overlay}: a: a lone"),
        ("services: {app: {scale: x}}", f"{file} with {overlay}: services.app.scale: 'x'"),
        ("x-envoymesh: {see: 1}", f"{file} with {overlay}: x-envoymesh.see: unknown; known are network, title, watch"),
        ("x-envoymesh: {watch: [see: this]}", f"{file} with {overlay}: x-envoymesh.watch: a list of words is expected"),
        ("x-envoymesh: {watch: see}", f"{file} with {overlay}: x-envoymesh.watch: a list of words"),
    ):
        overlay.write_text(text)
        with pytest.raises(SandboxError) as caught:
            load(file, {}, [overlay])
        assert str(caught.value).startswith(message)


def test_bind_mounts_take_the_place_of_configurations_and_files(tmp_path: Path) -> None:
    fields = "configs: {/etc/a.yaml: a.yaml}, files: {/code: code, /data: data}"
    volumes = (
        "['./b.yaml:/etc/a.yaml:ro', {type: bind, source: /srv, target: /data}, 'named:/n', '/nameless', ./c:/new]"
    )
    text = f"services: {{app: {{x-envoymesh: {{processes: {{m: [run]}}, {fields}}}, volumes: {volumes}}}}}"
    service = load(written(tmp_path, text), {}).services["app"]
    assert service.configs == {"/etc/a.yaml": "./b.yaml"}
    assert service.files == {"/code": "code", "/data": "/srv", "/new": "./c"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: {}", "services: there is none"),
        ("[1]", "the file: a mapping is expected"),
        ("a: [", "not YAML"),
        ("services: {a: {}}", "services.a.x-envoymesh.processes: missing"),
        ("services: {a: {x-envoymesh: {process: {}}}}", "services.a.x-envoymesh.process: unknown"),
        ("services: {a: {x-envoymesh: {processes: {m: run}}}}", "services.a.x-envoymesh.processes.m: a list of words"),
        (with_fields("ports: [8080-8090]"), "services.app.ports[0]: '8080-8090' is not PUBLISHED:PORT"),
        (with_fields("ports: ['70000:1']"), "services.app.ports[0]: '70000:1'"),
        (with_fields("volumes: ['./a:b']"), "services.app.volumes[0]: 'b' is no absolute path in the container"),
        (with_fields("restart: maybe"), "services.app.restart: 'maybe' is none of"),
        (with_fields("stop_grace_period: soon"), "services.app.stop_grace_period: 'soon' is not a duration"),
        (with_fields("healthcheck: {test: [RUN]}"), "services.app.healthcheck.test[0]: 'RUN' is none of"),
        (with_fields("scale: -1"), "services.app.scale: -1 is not a number"),
        (with_fields("depends_on: [b]"), "services.app.depends_on: there is no service b"),
        ("x-envoymesh: {network: 10.0.0.0/8}\n" + MINIMAL, "x-envoymesh.network: 10.0.0.0/8 is not a loopback"),
        ("x-envoymesh: {network: nowhere}\n" + MINIMAL, "x-envoymesh.network:"),
    ],
)
def test_an_error_names_the_file_and_the_field(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SandboxError) as caught:
        load(file, {})
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"nowhere\.yaml: cannot read .*: No such file or directory"):
        load(tmp_path / "nowhere.yaml", {})


def test_a_circle_of_dependencies(tmp_path: Path) -> None:
    one = "{x-envoymesh: {processes: {m: [run]}}, depends_on: [%s]}"
    project = load(written(tmp_path, f"services: {{a: {one % 'b'}, b: {one % 'a'}}}"), {})
    with pytest.raises(SandboxError, match="in a circle: a, b"):
        project.in_start_order()


def test_nothing_depends_on_a_page(tmp_path: Path) -> None:
    page = "{ x-envoymesh: { page: 'http://h/', processes: { a: [b] } } }"
    other = "{ depends_on: [page], x-envoymesh: { processes: { a: [b] } } }"
    file = tmp_path / "compose.yaml"
    file.write_text(f"services: {{ page: {page}, other: {other} }}")
    with pytest.raises(SandboxError, match=r"services\.other\.depends_on: page: a page waits for nothing"):
        load(file, {})
