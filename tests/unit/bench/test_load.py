"""The load generators' reports are read rightly."""

from pathlib import Path

import pytest

from bench.load import LoadResult, parse_h2load, parse_wrk
from bench.processes import BenchError

WRK = """\
Running 2s test @ http://127.0.0.1:24100/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.62ms    1.01ms  20.13ms   92.11%
  Latency Distribution
     50%  500.00us
     75%    1.70ms
     90%    2.20ms
     99%    1.50s
  2100 requests in 2.00s, 4.63MB read
  Socket errors: connect 0, read 1, write 2, timeout 3
  Non-2xx or 3xx responses: 100
Requests/sec:  10000.00
"""

H2LOAD = """\
finished in 2.00s, 150.50 req/s, 1.00MB/s
requests: 301 total, 301 started, 301 done, 300 succeeded, 1 failed, 0 errored, 2 timeout
"""


def test_wrk() -> None:
    assert parse_wrk(WRK) == LoadResult(requests=2000, errors=106, rate=1000.0, p50=0.5, p99=1500.0)


def test_wrk_said_something_else() -> None:
    with pytest.raises(BenchError, match="unexpected: unable to connect"):
        parse_wrk("unable to connect")


def test_h2load(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"1700000000000000\t200\t{1000 * number}\n" for number in range(1, 100)) + "1\t503\t9\n")
    result = parse_h2load(H2LOAD, log)
    assert result == LoadResult(requests=300, errors=3, rate=150.5, p50=50.0, p99=99.0)


def test_h2load_without_answers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    assert parse_h2load(H2LOAD, log).p99 is None
