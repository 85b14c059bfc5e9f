"""curl, nghttp and h2load against the server codec on a real socket, where they are installed."""

import asyncio
from collections.abc import Callable

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import ResponseHeaders
from tests.support.codecs import Feeder
from tests.support.http2 import Events, ServerSide

LARGE = 3_000_000


def answer(request: Events) -> None:
    body = b"x" * LARGE if request.headers.path == b"/large" else b"%d bytes" % len(request.body)
    headers = ResponseHeaders(200, [(b"content-length", b"%d" % len(body)), (b"x-method", request.headers.method)])
    is_head = request.headers.method == b"HEAD"
    request.encoder.encode_headers(headers, is_head)
    if not is_head:
        request.encoder.encode_data(body, True)


class Server(asyncio.Protocol):
    """A ServerSide on a transport; `open_connections` ends empty."""

    open_connections: set[asyncio.Future[None]]

    def __init__(self) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self.open_connections.add(self.closed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.side = ServerSide(answer)
        self.feeder = Feeder(self.side.codec)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.feeder.feed(data)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.side.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "")
        self.closed.set_result(None)

    def pause_writing(self) -> None:
        self.side.codec.on_above_write_buffer_high_watermark()

    def resume_writing(self) -> None:
        self.side.codec.on_below_write_buffer_low_watermark()

    def flush(self) -> None:
        data = self.side.wire.take()
        if data:
            self.transport.write(data)


async def run_against_server(command: list[str], stdin: bytes) -> str:
    Server.open_connections = set()
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    pipe = asyncio.subprocess.PIPE
    words = [word.replace("URL/", url) for word in command]
    tool = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
    output, errors = await tool.communicate(stdin)
    server.close()
    await asyncio.gather(*Server.open_connections)
    assert tool.returncode == 0, errors.decode()
    return output.decode()


def run(*command: str, stdin: bytes = b"") -> str:
    """A command's output; URL in its words is the server's."""
    return asyncio.run(run_against_server(list(command), stdin))


def test_curl(tool: Callable[[str], str]) -> None:
    tool("curl")
    curl = ("curl", "-s", "--http2-prior-knowledge")
    assert run(*curl, "-w", " %{http_version} %{http_code}", "URL/") == "0 bytes 2 200"
    assert run(*curl, "--data-binary", "@-", "URL/", stdin=b"y" * LARGE) == f"{LARGE} bytes"
    assert run(*curl, "-o", "/dev/null", "-w", "%{size_download}", "URL/large") == str(LARGE)
    assert "x-method: HEAD" in run(*curl, "-I", "URL/")


def test_nghttp(tool: Callable[[str], str]) -> None:
    tool("nghttp")
    output = run("nghttp", "-v", "-n", "URL/", "URL/large")
    assert output.count(":status: 200") == 2
    assert output.count("error_code=NO_ERROR") == 1


def test_h2load(tool: Callable[[str], str]) -> None:
    tool("h2load")
    output = run("h2load", "-n", "2000", "-c", "4", "-m", "50", "URL/")
    assert "2000 succeeded, 0 failed, 0 errored" in output
