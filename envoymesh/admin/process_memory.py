"""How much memory this process has, as /memory and the server's gauges tell it.

There is no allocator of our own to ask: the kernel's figures stand in. It must not keep anything between calls.
"""

import os
import resource
import sys
from pathlib import Path

from envoymesh.admin.views import MemoryUsage

STATM = Path("/proc/self/statm")


def process_memory(statm: Path = STATM) -> MemoryUsage:
    """Bytes now. `allocated` is what is resident and not shared, `heap_size` the data segment, physical all resident.

    Without /proc (macOS) all three are the highest resident size so far.
    """
    try:
        _, resident, shared, _, _, data, _ = map(int, statm.read_text().split())
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return MemoryUsage(allocated=peak, heap_size=peak, total_physical_bytes=peak)
    page = os.sysconf("SC_PAGE_SIZE")
    return MemoryUsage(
        allocated=(resident - shared) * page, heap_size=data * page, total_physical_bytes=resident * page
    )
