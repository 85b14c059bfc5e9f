"""Rate limits of routes and virtual hosts (envoy.config.route.v3.RateLimit): what a limiter is to be asked.

A route without any does not import this folder's modules.
"""
