"""Tests of envoymesh.config.load: from files to a checked bootstrap, and never anything but a ConfigError."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoymesh.config.checks import check
from envoymesh.config.errors import MultipleConfigError
from envoymesh.config.load import CONFIG_YAML, LoadedBootstrap, load_bootstrap, shifted
from envoymesh.config.messages import new_bootstrap
from envoymesh.config.parse import Parser
from envoymesh.config.source import Source
from envoymesh.config.yaml_loader import load_yaml
from envoymesh.errors import ConfigError
from tests.unit.config.bootstraps import FRONT


def written(directory: Path, text: str | bytes, name: str = "envoy.yaml") -> str:
    path = directory / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def problem(*args: Any, **kwargs: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_bootstrap(*args, **kwargs)
    return caught.value


def test_a_whole_bootstrap_loads_without_warnings(tmp_path: Path) -> None:
    loaded = load_bootstrap(written(tmp_path, FRONT))
    assert loaded.warnings == ()
    cluster = loaded.reader().required("static_resources").repeated("clusters")[0]
    assert (cluster.enum("type"), cluster.enum("lb_policy")) == ("STRICT_DNS", "ROUND_ROBIN")


def test_json_and_yaml_give_the_same_message(tmp_path: Path) -> None:
    as_json = json.dumps(load_yaml(FRONT).value)
    ours = load_bootstrap(written(tmp_path, as_json, "envoy.json")).message
    assert ours == load_bootstrap(written(tmp_path, FRONT)).message
    assert ours == load_bootstrap(written(tmp_path, as_json, "no_ending")).message


def test_an_error_has_file_path_value_and_line(tmp_path: Path) -> None:
    path = written(tmp_path, FRONT.replace("0.25s", "soon"))
    assert str(problem(path)) == (
        f"{path}: static_resources.clusters[0].connect_timeout: expected a duration in seconds that ends in s,"
        " such as \"0.25s\" (value: 'soon') (line 39)"
    )


def test_several_errors_come_together(tmp_path: Path) -> None:
    error = problem(written(tmp_path, FRONT.replace("0.25s", "soon").replace("AUTO", "SPDY")))
    assert isinstance(error, MultipleConfigError)
    assert len(str(error).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("- a\n", "a.yaml", "expected a mapping"),
        ("", "a.yaml", "holds no document"),
        ("node: {id: a}", "a.json", "not JSON"),
        (b"node: {id: '\xff'}", "a.yaml", "not UTF-8: byte 12 is 0xff"),
        ("node {}", "a.pb_text", "protobuf files are not supported"),
        ("", "a.PB", "protobuf files are not supported"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str | bytes, name: str, message: str) -> None:
    error = problem(written(tmp_path, text, name))
    assert error.message.startswith(message)
    assert error.source.endswith(name)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert problem(str(tmp_path / "no.yaml")).message == "cannot read the file: No such file or directory"
    assert problem(str(tmp_path)).message == "cannot read the file: Is a directory"
    assert "cannot read the file" in problem("a\0b.yaml").message


def test_no_configuration_at_all() -> None:
    assert "give --config-path or --config-yaml" in problem(None).message


def test_config_yaml_alone() -> None:
    assert load_bootstrap(None, "node: {id: a}").message.node.id == "a"
    error = problem(None, "node: {id: 5}")
    assert (error.source, error.path, error.line) == (CONFIG_YAML, "node.id", 1)


def test_config_yaml_is_merged_as_protobuf_merges(tmp_path: Path) -> None:
    path = written(tmp_path, "node: {id: a, cluster: b}\nstatic_resources: {clusters: [{name: one}]}\n")
    loaded = load_bootstrap(path, "node: {id: c}\nstatic_resources: {clusters: [{name: two}]}")
    assert (loaded.message.node.id, loaded.message.node.cluster) == ("c", "b")
    assert [cluster.name for cluster in loaded.message.static_resources.clusters] == ["one", "two"]


def test_errors_of_the_merged_whole_name_their_own_source(tmp_path: Path) -> None:
    path = written(tmp_path, "static_resources:\n  clusters:\n  - name: one\n")
    error = problem(path, "static_resources:\n  clusters:\n  - alt_stat_name: x\n")
    assert (error.path, error.source, error.line) == ("static_resources.clusters[1].name", CONFIG_YAML, 3)
    loaded = load_bootstrap(path, "node: {id: a}")
    reader = loaded.reader()
    with pytest.raises(MultipleConfigError) as caught:
        reader.finish()
    assert [(error.path, error.source, error.line) for error in caught.value.errors] == [
        ("node", CONFIG_YAML, 1),
        ("static_resources", path, 1),
    ]


def test_paths_of_a_merged_text_move_behind_the_files_lists() -> None:
    base = {"a": [1, 2], "bC": {"d": "one"}, "e": {"@type": "x", "f": [1]}}
    assert shifted(("a", 0, "x", 5), base) == ("a", 2, "x", 5)
    assert shifted(("b_c", "d", 0), base) == ("b_c", "d", 1)
    assert shifted(("e", "f", 0), base) == ("e", "f", 0)
    assert shifted(("z", 3), base) == ("z", 3)


def test_unknown_fields_may_be_allowed(tmp_path: Path) -> None:
    path = written(tmp_path, "foo: 1\nnode: {id: a}\n")
    assert problem(path).path == "foo"
    loaded = load_bootstrap(path, allow_unknown_static_fields=True)
    assert loaded.message.node.id == "a"
    assert loaded.warnings == (f"{path}: foo: unknown field of envoy.config.bootstrap.v3.Bootstrap, ignored (line 1)",)


def test_warnings_of_every_kind(tmp_path: Path) -> None:
    text = "node: {id: a}\nnode: {id: b}\nstatic_resources: {clusters: [{name: a, http_protocol_options: {}}]}\n"
    warnings = load_bootstrap(written(tmp_path, text)).warnings
    assert ["duplicate key" in warnings[0], "is deprecated" in warnings[1]] == [True, True]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("1s"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("@type"), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutated_bootstrap_is_good_or_a_config_error(data: st.DataObject) -> None:
    value = copy.deepcopy(load_yaml(FRONT).value)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(_places(value)))
        container[key] = data.draw(PLAIN)
    parser = Parser(Source("f"))
    message = new_bootstrap()
    parser.fill(message, value)
    assert all(isinstance(error, ConfigError) for error in parser.errors)
    if parser.errors:
        return
    found = check(message, Source("f"))
    assert all(error.path for error in found.errors)
    if not found.errors and message.ListFields():
        with pytest.raises(ConfigError):
            LoadedBootstrap(message, Source("f")).reader().finish()
