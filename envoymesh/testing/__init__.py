"""The pytest plugin's words for tests: what fake upstreams answer. It must not import what a test does not use."""

from envoymesh.testing.answers import REFUSE, Hosts, Reply, Request, Reset, hosts

__all__ = ["REFUSE", "Hosts", "Reply", "Request", "Reset", "hosts"]
