"""A two-tier sidecar mesh sandbox with its own proxy. This file holds the version and must import nothing."""

__version__ = "0.1.0"
