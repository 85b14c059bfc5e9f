"""These tests run the proxy from its source. Those of parity and sandbox run compiled modules where there are some."""

from collections.abc import Iterator

import pytest

from envoymesh.native.loader import VARIABLE


@pytest.fixture(scope="module", autouse=True)
def from_source() -> Iterator[None]:
    """For the proxies that a module's tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "0")
        yield
