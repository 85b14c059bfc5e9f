"""The process log: its format, its levels, its file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoymesh.errors import ConfigError
from envoymesh.server.log import COMPONENTS, DEFAULT_FORMAT, LEVELS, PROCESS_LOG, EnvoyFormatter, ProcessLog


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    root = logging.getLogger("envoymesh")
    before = (root.level, root.propagate, list(root.handlers))
    levels = {name: logging.getLogger(f"envoymesh.{name}").level for name in COMPONENTS}
    yield
    for handler in root.handlers:
        if handler not in before[2]:
            handler.close()
    root.level, root.propagate, root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(f"envoymesh.{name}").setLevel(level)


def record(message: str = 'say "hi"\nnow', level: int = logging.WARNING) -> logging.LogRecord:
    made = logging.LogRecord("envoymesh.main", level, "/x/envoymesh/server/main.py", 42, message, (), None, "run")
    made.created, made.msecs, made.thread, made.process = 1_594_016_400.25, 250.0, 7, 9
    return made


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("%v", 'say "hi"\nnow'),
        ("%_", 'say "hi"\\nnow'),
        ("%j", 'say \\"hi\\"\\nnow'),
        ("[%t][%P][%l][%L][%n]", "[7][9][warning][W][main]"),
        ("%g:%# %s %!", "server/main.py:42 main.py run"),
        ("%e %f %E %%", "250 250000 1594016400 %"),
        ("%^%v%$", 'say "hi"\nnow'),
    ],
)
def test_format_tokens(pattern: str, expected: str) -> None:
    assert EnvoyFormatter(pattern).format(record()) == expected


def test_the_default_format() -> None:
    line = EnvoyFormatter(DEFAULT_FORMAT).format(record("hello"))
    pattern = r"\[2020-07-0\d \d\d:\d\d:\d\d\.250\]\[7\]\[warning\]\[main\] \[server/main\.py:42\] hello"
    assert re.fullmatch(pattern, line)


def test_an_unknown_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown token '%k'"):
        EnvoyFormatter("%k")


def test_levels(tmp_path: Path) -> None:
    log = ProcessLog("info", "http:debug,pool:off", "%l %n %v", str(tmp_path / "log"))
    assert {**log.levels(), "http": "info", "pool": "info"} == dict.fromkeys(sorted(COMPONENTS), "info")
    assert (log.levels()["http"], log.levels()["pool"]) == ("debug", "off")
    logging.getLogger("envoymesh.http").debug("shown")
    logging.getLogger("envoymesh.router").debug("not shown")
    logging.getLogger("envoymesh.pool").critical("not shown")
    log.set_level("router", "trace")
    logging.getLogger("envoymesh.router").log(LEVELS["trace"], "shown")
    log.set_all("error")
    logging.getLogger("envoymesh.http").warning("not shown")
    assert (tmp_path / "log").read_text() == "debug http shown\ntrace router shown\n"


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("loud", "", "%v"), "invalid log level specified 'loud'"),
        (("info", "http", "%v"), "component not correctly specified 'http'"),
        (("info", "nobody:info", "%v"), "invalid component specified 'nobody'"),
        (("info", "http:loud", "%v"), "invalid log level specified 'loud'"),
    ],
)
def test_refused(arguments: tuple[str, str, str], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        ProcessLog(*arguments, "")


def test_warn_is_warning(tmp_path: Path) -> None:
    assert ProcessLog("warn", "", "%v", str(tmp_path / "log")).levels()["main"] == "warning"


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--log-path: cannot open"):
        ProcessLog("info", "", "%v", str(tmp_path / "none" / "log"))


def test_reopening(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = ProcessLog("info", "", "%v", str(path))
    logger = logging.getLogger("envoymesh.main")
    logger.info("one")
    path.rename(tmp_path / "old")
    log.reopen()
    logger.info("two")
    assert ((tmp_path / "old").read_text(), path.read_text()) == ("one\n", "two\n")


def test_a_file_that_is_open_already_is_written_to_until_it_is_reopened(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with (tmp_path / "old").open("a") as opened:
        descriptor = os.dup(opened.fileno())
    log = ProcessLog("info", "", "%v", str(path), descriptor)
    assert log.descriptors() == {PROCESS_LOG: descriptor}
    logger = logging.getLogger("envoymesh.main")
    logger.info("one")
    log.reopen()
    logger.info("two")
    assert ((tmp_path / "old").read_text(), path.read_text()) == ("one\n", "two\n")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_standard_error_has_no_descriptor_to_hand_on() -> None:
    assert ProcessLog("info", "", "%v", "").descriptors() == {}
