"""What the admin shows as protobuf messages: the one place of the admin that may import them.

`answers.py` makes the JSON answers, `dump.py` what /config_dump shows, `node.py` this process's node; `printed.py`
prints messages in steps, and `trim.py` takes out what must not, or was not asked to, be shown. They must not decide
what is asked, nor read settings.
"""
