"""Looks at what readers do: which fields they are asked for, and what tests say where a field is not seen."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from google.protobuf.message import Message

from envoymesh.config import reader as reader_module
from envoymesh.config.reader import Reader
from envoymesh.config.source import Source

READER = reader_module.__file__


@contextmanager
def noting() -> Iterator[dict[str, set[str]]]:
    """By each field that is asked for (``type.field``), the tests in which it was set."""
    found: dict[str, set[str]] = defaultdict(set)
    take = Reader._take

    def note(reader: Reader, field: str) -> Any:
        tests = found[f"{reader.type_name}.{field}"]
        if reader.has(field):
            tests.add(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0])
        return take(reader, field)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "_take", note)
        yield found


Place = tuple[str, int]
"""A file and a line."""


@contextmanager
def noting_places() -> Iterator[set[Place]]:
    """Where fields are asked for."""
    found: set[Place] = set()
    take = Reader._take

    def note(reader: Reader, field: str) -> Any:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename in (READER, __file__):
            frame = frame.f_back
        if frame is not None:
            found.add((frame.f_code.co_filename, frame.f_lineno))
        return take(reader, field)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "_take", note)
        yield found


@contextmanager
def noting_types() -> Iterator[set[str]]:
    """The types of the messages in Anys."""
    found: set[str] = set()
    unpack = reader_module.unpack_any

    def note(value: Any, path: str, source: Source) -> Message:
        found.add(value.type_url.rpartition("/")[2])
        return unpack(value, path, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader_module, "unpack_any", note)
        yield found


@contextmanager
def masked(field: str) -> Iterator[None]:
    """Readers do not see this field, ``type.field``."""
    kind, _, name = field.rpartition(".")
    make = Reader.__init__

    def without(reader: Reader, message: Message, path: str = "", source: Source | None = None) -> None:
        if message.DESCRIPTOR.full_name == kind:
            whole, message = message, type(message)()
            message.CopyFrom(whole)
            message.ClearField(name)
        make(reader, message, path, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "__init__", without)
        yield


class Failures:
    """A pytest plugin that keeps which tests failed, and how many ran."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test."""
        self.ran += report.when == "call"
        if report.failed:
            self.failed.append(report.nodeid)


def run(tests: Sequence[str], *options: str) -> Failures:
    """Run tests in this process, quietly."""
    failures = Failures()
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(
            ["-n", "0", "-p", "no:cacheprovider", "-p", "no:unraisableexception", *options, *tests], plugins=[failures]
        )
    return failures
