"""The buffer filter (envoy.filters.http.buffer): a request goes on when it is whole."""
