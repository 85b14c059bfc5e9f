"""`tcp_proxy`: bytes between a peer and a host of a cluster, unread."""
