"""When Python's garbage collector runs. It must not know what the objects are."""

from __future__ import annotations

import gc

YOUNG = 20_000
"""Objects that may be made before the young ones are looked through. A connection with its request is about 40, in
cycles that last as long as the connection: with Python's 700, 2,000 new ones were looked through over a hundred times,
which was a tenth of their cost."""


def hold() -> None:
    """Switch the collector off while starting up, imports included: almost everything that is made then stays.

    It would take an eighth of the start, and more with many clusters.
    """
    gc.disable()


def release() -> None:
    """Start-up is done: exclude what it made from collections, and switch the collector on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
    gc.enable()
