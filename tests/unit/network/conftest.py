"""Runs a test's coroutine on both event loops, with a dispatcher whose stray exceptions fail the test."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trustme

from envoymesh.network.settings import CertificateSettings
from tests.support.network import LOOPS, Net, settings_of

Run = Callable[[Callable[[Net], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """A function that runs `main(net)` to its end; a stray exception on the loop fails the test."""

    def run_main(main: Callable[[Net], Coroutine[Any, Any, Any]]) -> Any:
        loop = LOOPS[request.param]()
        net = Net(loop)

        async def whole() -> Any:
            try:
                return await asyncio.wait_for(main(net), 30.0)
            finally:
                await net.close()

        try:
            result = loop.run_until_complete(whole())
            gc.collect()
            assert net.dispatcher.errors == net.expected_errors
            return result
        finally:
            loop.close()

    return run_main


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(ca: trustme.CA) -> CertificateSettings:
    """A certificate for a.test."""
    return settings_of(ca.issue_cert("a.test"))
