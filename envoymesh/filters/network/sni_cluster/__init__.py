"""`sni_cluster`: the server name that a client asks for is the cluster that `tcp_proxy` connects to."""
