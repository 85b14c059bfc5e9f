"""The upstream of every scenario: nginx, one worker, HTTP/1 and cleartext HTTP/2 on two ports.

Paths: `/` answers with 92 bytes, `/body/N` with a file of N bytes, `/upload` reads a body to its end and answers with
two bytes. It must not be the bottleneck, so it does as little as it can.
"""

from __future__ import annotations

from pathlib import Path

from bench.processes import LOAD_CORES, Process, free_port

SMALL = 92
BODIES = (1024, 64 * 1024, 10 * 1024 * 1024)
_BODY = "Hello from behind Envoy! ".ljust(SMALL, ".")

_CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  sendfile on;
  tcp_nodelay on;
  client_max_body_size 0;
  client_body_buffer_size 11m;
  client_body_temp_path {folder}/client;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream sink {{ server 127.0.0.1:{http1}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{http1} backlog=4096;
    listen 127.0.0.1:{http2} http2 backlog=4096;
    http2_max_concurrent_streams 1024;
    root {folder};
    location = / {{ default_type text/plain; return 200 "{body}"; }}
    location /body/ {{ open_file_cache max=10; }}
    # Only a proxy location reads a whole body before it answers; what it passes on is without the body.
    location = /upload {{
      proxy_pass http://sink/ok;
      proxy_http_version 1.1;
      proxy_method GET;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
    }}
    location = /ok {{ default_type text/plain; return 200 ok; }}
  }}
}}
"""


class Upstream:
    """A running upstream. `http1` and `http2` are its ports."""

    def __init__(self, folder: Path) -> None:
        self.http1 = free_port()
        self.http2 = free_port()
        bodies = folder / "body"
        bodies.mkdir()
        for size in BODIES:
            (bodies / str(size)).write_bytes(b"x" * size)
        config = folder / "upstream.conf"
        config.write_text(_CONFIG.format(folder=folder, http1=self.http1, http2=self.http2, body=_BODY))
        # Its workers drop root's rights only where it forks any; alone it reads the folder as whoever runs the bench.
        command = ["nginx", "-c", str(config), "-e", str(folder / "start.log")]
        self.process = Process("upstream nginx", command, LOAD_CORES, folder / "upstream.log")
        self.process.wait_for_port(self.http2)

    def stop(self) -> None:
        """End it."""
        self.process.stop()
