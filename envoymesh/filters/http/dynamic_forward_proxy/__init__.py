"""The dynamic forward proxy filter: the host that a request names is resolved before the request goes there."""
