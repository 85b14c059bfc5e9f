"""The tls_inspector listener filter: whether a connection is TLS, for whom, and what it offers to speak."""
