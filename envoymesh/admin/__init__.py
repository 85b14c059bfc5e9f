"""The admin API: a terminal HTTP filter, and its handlers, one file for each subject.

It is an ordinary user of the other rooms: it shows what it is handed (context.py) and asks the server to act. It must
not reach into a cluster, a listener or the server by any other way.
"""
