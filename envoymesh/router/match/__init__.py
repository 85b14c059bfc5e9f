"""What a request must be to take a route, beside its path, headers and query (envoy.config.route.v3.RouteMatch)."""
