"""Runs the command line as `python -m envoymesh`. It must know nothing else."""

import sys

from envoymesh.cli import main

if __name__ == "__main__":
    sys.exit(main())
