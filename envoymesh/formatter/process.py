"""Commands that print facts of the process: host name, environment, ids.

What the process was started with is read once, when the format is compiled.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Mapping

from envoymesh.formatter.context import Operator, as_latin1
from envoymesh.formatter.parse import Syntax


def _environment(name: str) -> Operator:
    # As in Envoy an unset variable is the text "-", which counts as a value: omit_empty_values keeps it.
    value = as_latin1(os.environ.get(name, "-"))
    return lambda context: value


_HOSTNAME = as_latin1(socket.gethostname())

PROCESS: Mapping[str, Operator] = {
    "HOSTNAME": lambda context: _HOSTNAME,
    "UNIQUE_ID": lambda context: str(uuid.uuid4()),
    "FILTER_CHAIN_NAME": lambda context: context.info.downstream.filter_chain_name or None,
}

ENVIRONMENT: Mapping[str, tuple[Syntax, Callable[[str], Operator]]] = {
    "ENVIRONMENT": (Syntax.REQUIRED_LENGTH, _environment),
}
