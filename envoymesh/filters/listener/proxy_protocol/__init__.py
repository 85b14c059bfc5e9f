"""The proxy_protocol listener filter: the addresses of the client behind another proxy."""
