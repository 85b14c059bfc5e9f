"""Filters of HTTP requests (`http/`) and of connections (`network/`), one folder each."""
