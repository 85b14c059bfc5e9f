"""What the registries of filters name is there; what a configuration does not use is not imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from envoymesh.filters.http.registry import FILTERS
from envoymesh.filters.network.registry import NETWORK_FILTERS
from envoymesh.filters.when_used import when_used

PACKAGE = "envoymesh.filters"


def named() -> Iterator[Callable[..., Any]]:
    for kind in FILTERS.values():
        yield kind.read
        if kind.read_route is not None:
            yield kind.read_route
    yield from (kind.read for kind in NETWORK_FILTERS.values())


@pytest.mark.parametrize("function", [pytest.param(each, id=each.__qualname__) for each in named()])
def test_what_registries_name_is_there(function: Callable[..., Any]) -> None:
    module, _, name = function.__qualname__.rpartition(".")
    assert callable(getattr(import_module(f"{PACKAGE}.{module}"), name))


def test_it_is_imported_when_it_is_called() -> None:
    function = when_used("http.router.nowhere", "read")
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        function()


def test_registries_import_no_filter() -> None:
    code = (
        "import sys, envoymesh.filters.http.registry, envoymesh.filters.network.registry\n"
        f"print(*(name for name in sys.modules if name.startswith('{PACKAGE}.') and name.endswith('.config')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    # What network filters are given holds what connection managers are given, so that one is always there.
    assert found == [f"{PACKAGE}.network.http_connection_manager.config"]
