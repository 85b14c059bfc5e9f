"""Writes exchanges.json: what the real Envoy answered. Run as `python -m tests.integration.record /path/to/envoy`."""

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.integration.harness import Proxy
from tests.integration.outcomes import EXPECTED_PATH, run_all


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_all(partial(Proxy.real, Path(sys.argv[1])), Path(folder))
    EXPECTED_PATH.write_text(json.dumps(outcomes, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(outcomes)} exchanges written to {EXPECTED_PATH}")


if __name__ == "__main__":
    main()
