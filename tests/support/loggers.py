"""Loggers as they were: a server that is made in a test sets up this process's logging. It must not log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


def _children() -> set[logging.Logger]:
    known = logging.root.manager.loggerDict.items()
    return {each for name, each in known if isinstance(each, logging.Logger) and name.startswith("envoymesh.")}


@contextmanager
def loggers_restored() -> Iterator[None]:
    """Within it the loggers of envoymesh may be changed; afterwards they are as before."""
    root = logging.getLogger("envoymesh")
    before = {root, *_children()}
    saved = [(each, each.level, each.propagate, each.disabled, list(each.handlers)) for each in before]
    try:
        yield
    finally:
        for each, level, propagate, disabled, handlers in saved:
            each.setLevel(level)
            each.propagate, each.disabled, each.handlers = propagate, disabled, handlers
        for each in {root, *_children()} - before:
            each.setLevel(logging.NOTSET)
            each.propagate, each.disabled, each.handlers = True, False, []
