"""Routing decisions: pure functions on settings. No I/O, no clusters, no clock."""
