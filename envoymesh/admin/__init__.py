"""The admin API: a terminal HTTP filter, and one handler a file.

It is an ordinary user of the other rooms: it shows what it is handed (context.py) and asks the server to act. It must
not reach into a cluster, a listener or the server by any other way.
"""
