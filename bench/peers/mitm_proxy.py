"""mitmproxy in reverse mode, as quiet as it gets.

Run: python mitm_proxy.py PORT HOST:PORT FOLDER
"""

from __future__ import annotations

import sys

from mitmproxy.tools.main import mitmdump

if __name__ == "__main__":
    port, upstream, folder = sys.argv[1:]
    options = ["--mode", f"reverse:http://{upstream}", "--listen-host", "127.0.0.1", "--listen-port", port]
    mitmdump([*options, "--set", f"confdir={folder}", "--set", "flow_detail=0", "--set", "termlog_verbosity=error"])
