import re
from pathlib import Path

import pytest

from envoymesh.cli import main, make_parser, read_options
from envoymesh.options import NO_EFFECT, Options, flags

ISSUE_FLAGS = [
    "-c", "--config-path", "--config-yaml", "--mode", "-l", "--log-level", "--component-log-level", "--log-format",
    "--log-path", "--concurrency", "--service-cluster", "--service-node", "--service-zone", "--admin-address-path",
    "--drain-time-s", "--drain-strategy", "--parent-shutdown-time-s", "--base-id", "--use-dynamic-base-id",
    "--disable-hot-restart", "--allow-unknown-static-fields", "--reject-unknown-dynamic-fields",
    "--local-address-ip-version", "--file-flush-interval-msec", "--version", "--help",
]  # fmt: skip


def proxy(*words: str) -> Options:
    return read_options(make_parser().parse_args(["proxy", *words]))


def test_defaults_are_the_dataclasss() -> None:
    assert proxy() == Options()


def test_every_flag_reaches_its_field() -> None:
    words = ["-c", "f.yaml", "--config-yaml", "{}", "--mode", "validate", "-l", "debug", "--component-log-level", "a:b"]
    words += ["--log-format", "%v", "--log-path", "l", "--concurrency", "3", "--service-cluster", "c"]
    words += ["--service-node", "n", "--service-zone", "z", "--admin-address-path", "a", "--drain-time-s", "5"]
    words += [
        "--drain-strategy",
        "immediate",
        "--parent-shutdown-time-s",
        "6",
        "--base-id",
        "7",
        "--use-dynamic-base-id",
    ]
    words += ["--disable-hot-restart", "--allow-unknown-static-fields", "--reject-unknown-dynamic-fields"]
    words += ["--local-address-ip-version", "v6", "--filter", "f.py", "--file-flush-interval-msec", "1500"]
    given = proxy(*words)
    changed = [each.name for each in flags() if getattr(given, each.name) != each.default]
    assert changed == [each.name for each in flags()]
    assert given.config_path == "f.yaml"
    assert given.concurrency == 3
    shown = given.command_line_options()
    assert (shown["mode"], shown["drain_strategy"]) == ("Validate", "Immediate")
    assert (shown["drain_time"], shown["parent_shutdown_time"], shown["file_flush_interval"]) == ("5s", "6s", "1.500s")
    assert shown["base_id"] == "7"


def test_help_names_every_flag_and_says_what_has_no_effect(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [flag for flag in ISSUE_FLAGS if flag not in text] == []
    without = [each.name for each in flags() if NO_EFFECT in each.metadata["help"]]
    assert " ".join(text.split()).count(NO_EFFECT) == len(without) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--conc", "1"], "unrecognized arguments: --conc 1"),
        (["--concurrency", "x"], "Couldn't read argument value from string 'x'"),
        (["--base-id", "-1"], "-1"),
        (["--base-id", "4294967296"], "Couldn't read argument value from string '4294967296'"),
        (["--mode", "maybe"], "unknown mode 'maybe'; one of serve, validate is expected"),
        (["-l", "loud"], "invalid log level specified 'loud'"),
        (["--drain-strategy", "never"], "unknown drain-strategy 'never'"),
        (["--local-address-ip-version", "v5"], "unknown local address IP version 'v5'"),
    ],
)
def test_a_wrong_flag_ends_with_1(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", *words])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("PARSE ERROR: ")
    assert message in said.err


def test_a_proxy_needs_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proxy"]) == 1
    assert "At least one of --config-path or --config-yaml" in capsys.readouterr().err


def test_the_version_has_envoys_five_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", "--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r".*proxy  version: \w+/\d+\.\d+\.\d+/\w+/\w+/\w+\n", capsys.readouterr().out)


def test_the_meshs_commands() -> None:
    parse = make_parser().parse_args
    up = parse(["up", "-d", "--scale", "a=2", "--scale", "b=0"])
    assert (up.detach, up.scale) == (True, [("a", 2), ("b", 0)])
    assert parse(["scale", "service1=3"]).scale == [("service1", 3)]
    assert parse(["ps", "--format", "json"]).format == "json"
    assert (parse(["logs"]).replica, parse(["logs", "-f", "a-1"]).replica) == ("", "a-1")
    for name in ("stop", "start", "kill"):
        assert parse([name, "a-1"]).replica == "a-1"
        with pytest.raises(SystemExit):
            parse([name])
    assert parse(["down"]).command == "down"
    assert parse(["up"]).file is None
    assert parse(["up", "--file", "a", "--file", "b"]).file == [Path("a"), Path("b")]
    assert (parse(["up"]).example, parse(["up", "--example", "mirror"]).example) == ("", "mirror")
    assert (parse(["examples"]).name, parse(["examples", "mirror"]).name) == ("", "mirror")


@pytest.mark.parametrize("word", ["service1", "=1", "a=x", "a=-1", "a="])
def test_a_scale_is_service_and_number(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["scale", word])
    assert ended.value.code == 1
    assert f"'{word}' is not SERVICE=N" in capsys.readouterr().err


def test_commands_without_a_mesh_say_so_in_one_line(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--state-dir", f"{tmp_path}/state"]
    for words in (["scale", "a=1"], ["stop", "a-1"], ["kill", "a-1"]):
        assert main([*words, *place]) == 1
        assert (
            capsys.readouterr().err == f"envoymesh: no mesh is running ({tmp_path}/state); `envoymesh up` starts one\n"
        )
    assert main(["down", *place]) == 0
    assert main(["ps", "--format", "json", *place]) == 0
    assert capsys.readouterr().out.endswith("[]\n")


@pytest.mark.parametrize("more", [[], ["-d"]])
def test_up_without_a_description_is_one_line(
    more: list[str], tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", *more, "--file", f"{tmp_path}/none.yaml"]) == 1
    said = capsys.readouterr().err
    assert said.endswith("none.yaml: cannot read the description of the mesh: No such file or directory\n")
    assert said.count("\n") == 1
