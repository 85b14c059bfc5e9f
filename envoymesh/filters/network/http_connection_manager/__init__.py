"""The HTTP connection manager: makes requests of a connection's bytes and passes them through HTTP filters."""
