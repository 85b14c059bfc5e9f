"""The version that users see, in Envoy's five parts: revision/version/status/build type/TLS library."""

from __future__ import annotations

import ssl
from functools import cache
from importlib import resources

from envoymesh import __version__

_MAJOR, _MINOR, _PATCH = (int(part) for part in __version__.split(".")[:3])
SEMANTIC_VERSION = (_MAJOR, _MINOR, _PATCH)


@cache
def revision() -> str:
    """The source revision that the package was built from, or forty zeros where that was not recorded."""
    recorded = resources.files("envoymesh").joinpath("REVISION")
    return recorded.read_text().strip() if recorded.is_file() else "0" * 40


def tls_library() -> str:
    """The TLS library's name, such as ``OpenSSL``."""
    return ssl.OPENSSL_VERSION.split()[0]


def version_text() -> str:
    """Such as ``<revision>/0.1.0/Clean/RELEASE/OpenSSL``."""
    return f"{revision()}/{__version__}/Clean/RELEASE/{tls_library()}"


def version_metadata() -> dict[str, str]:
    """The node's build metadata."""
    return {
        "build.type": "RELEASE",
        "revision.sha": revision(),
        "revision.status": "Clean",
        "ssl.version": tls_library(),
    }
