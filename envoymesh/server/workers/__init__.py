"""More than one core: worker processes under one parent (`--concurrency N`, N > 1).

The parent (parent.py) reads the configuration, binds every socket and holds the admin; each worker (worker.py) is a
whole server without an admin that takes its sockets from the parent and its orders from a channel. With one worker
none of this is imported. Workers share nothing but listening sockets: each has its clusters, pools and limits.
"""
