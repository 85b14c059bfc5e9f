"""JSON as the admin prints it: one space an indent, a final end of line, `<` and `>` spelt so that no browser minds.

It must not know messages (config.py does).
"""

import json

_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "\x7f": "\\u007f", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def pretty(value: object) -> str:
    """A JSON value over as many lines as it takes."""
    return json.dumps(value, indent=1, ensure_ascii=False).translate(_SAFE) + "\n"
