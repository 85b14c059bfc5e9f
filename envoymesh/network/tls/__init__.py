"""TLS: contexts, certificates, handshakes and encrypted connections."""
