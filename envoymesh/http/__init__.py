"""HTTP: header maps, codecs, streams, the filter chain, the connection manager, access logs.

The codecs (`http1/`, `http2/`) know nothing above `codec.py`; the connection manager knows nothing of clusters.
"""
