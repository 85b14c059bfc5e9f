"""Matchers of strings, headers and values, which routes, filters and logs use."""
