"""python -m tests.supported: write README's table and docs/supported.md anew."""

from __future__ import annotations

from tests.supported.document import DOCUMENT, README, document, with_table

if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
    DOCUMENT.write_text(document())
