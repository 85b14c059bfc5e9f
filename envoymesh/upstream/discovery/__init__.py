"""Service discovery: where a cluster's hosts come from. Each tells the cluster the whole list when it changes."""
