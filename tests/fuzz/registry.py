"""The one list of targets, by the modules that have them, so that one target is run without importing all others."""

from __future__ import annotations

import importlib

from tests.fuzz.target import Target

MODULES = {
    "http1": ["http1-server", "http1-client", "http1-head", "http1-trailers", "http1-chunked", "http1-target"],
    "http2": ["http2-server", "http2-client", "hpack"],
    "grpc": ["grpc-frames", "grpc-words"],
    "edge": ["client-hello", "path", "route"],
    "actions": ["location", "values", "substitution"],
    "texts": ["yaml", "config", "format", "admin"],
}
NAMES = [name for names in MODULES.values() for name in names]


def find(name: str) -> Target:
    """A target by its name. Errors: KeyError."""
    for module, names in MODULES.items():
        if name in names:
            targets = importlib.import_module(f"tests.fuzz.targets.{module}").TARGETS_HERE
            return next(target for target in targets if target.name == name)
    raise KeyError(name)
