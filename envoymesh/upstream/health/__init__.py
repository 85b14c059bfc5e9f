"""Active health checks: who asks a cluster's hosts how they are, and what comes of the answers."""
