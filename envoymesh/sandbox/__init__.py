"""The embedded runtime: runs the services of docker-compose.yaml as local processes.

It must not know how the proxy works: it adapts addresses from the outside, and starts the same commands as the images.
"""
