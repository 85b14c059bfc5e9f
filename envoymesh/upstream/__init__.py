"""Clusters, hosts, discovery, load balancing, connection pools. Knows nothing of routes and filters."""
