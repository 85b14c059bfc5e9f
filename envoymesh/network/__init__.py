"""The network: listeners, connections, connectors, TLS, DNS and timers, on asyncio or uvloop.

The rest of the proxy knows only the traits and protocols in `api`; this room must not know HTTP, clusters or filters.
"""
