"""The process's memory."""

import os
from pathlib import Path

from envoymesh.admin.process_memory import process_memory


def test_pages_become_bytes(tmp_path: Path) -> None:
    statm = tmp_path / "statm"
    statm.write_text("1000 300 100 5 0 400 0\n")
    page = os.sysconf("SC_PAGE_SIZE")
    memory = process_memory(statm)
    assert (memory.allocated, memory.heap_size, memory.total_physical_bytes) == (200 * page, 400 * page, 300 * page)


def test_without_proc_the_peak_stands_in(tmp_path: Path) -> None:
    memory = process_memory(tmp_path / "absent")
    assert memory.allocated == memory.heap_size > 1 << 20
