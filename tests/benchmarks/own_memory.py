"""The memory of the process that imports it."""

import re
from pathlib import Path


def peak() -> float:
    """Most memory that was resident since this program began, in MB.

    getrusage's maximum would include the process that started it.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("/proc/self/status has no VmHWM")
    return int(found[1]) / 1024
