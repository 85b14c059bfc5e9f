"""HTTP, the protocol: header maps, codecs, a request's facts, the contract of filters and the manager that calls them.

The codecs (`http1/`, `http2/`) know nothing above `codec.py`. This room must not know connection managers, routes or
clusters.
"""
