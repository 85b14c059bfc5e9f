"""Numbers in header values, read as Envoy reads them."""

from __future__ import annotations


def parse_number(text: bytes) -> int | None:
    """A whole number below 2**64 in decimal, perhaps with white space around it; None for anything else."""
    text = text.strip()
    if text.startswith(b"+"):
        text = text[1:]
    if not text.isdigit() or len(text) > 20:
        return None
    number = int(text)
    return number if number < 1 << 64 else None
