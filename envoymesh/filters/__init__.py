"""HTTP filters: one file or folder each, and `registry.py`, which lists them all."""
