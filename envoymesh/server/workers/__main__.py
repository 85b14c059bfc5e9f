"""`python -m envoymesh.server.workers CHANNEL STACKS` is a worker; both are descriptors that its parent gave it."""

import logging
import os
import sys

from envoymesh.native.loader import activate
from envoymesh.server import collector


def run() -> int:
    """Run until the parent says, or is gone; gives the exit code."""
    collector.hold()
    running = activate()
    # Not at the top: compiled modules must be in place before the first of them is imported.
    from envoymesh.server.workers.worker import main

    return main(int(sys.argv[1]), int(sys.argv[2]), running)


if __name__ == "__main__":
    code = run()
    logging.shutdown()
    # Only memory is left to be freed; Python would take its time for that, and a restart would wait for it.
    os._exit(code)
