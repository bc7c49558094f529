"""Whether a process gets smaller again after many connections at a time."""

from __future__ import annotations

import subprocess
import sys

BLOCKS, BLOCK_KIB = 200, 256

PROGRAM = f"""
import ctypes
from pathlib import Path
from modelbooster.process import return_large_blocks

def resident_kib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])

return_large_blocks()
size = {BLOCK_KIB} * 1024
first = bytearray(size)
del first
before = resident_kib()
small = ctypes.CDLL(None).malloc
small.restype = ctypes.c_void_p
large = []
for _ in range({BLOCKS}):
    large.append(b"x" * size)
    small(1000)  # stays, behind the large one
del large[:]
print(resident_kib() - before)
"""


def test_large_blocks_go_back_to_the_system() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
    )
    kept = int(ran.stdout) / (BLOCKS * BLOCK_KIB)
    assert kept < 0.1
