"""Listener filters, one folder each; `registry.py` lists them."""
