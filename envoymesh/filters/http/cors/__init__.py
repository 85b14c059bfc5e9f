"""The CORS filter (envoy.filters.http.cors): answers preflight requests, and marks answers that pages may read."""
