"""Bytes and seconds as text."""

from __future__ import annotations

GIB = 1 << 30
MIB = 1 << 20


def size_text(count: float) -> str:
    """Returns a number of bytes in decimal units, as disks and networks are sold."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{int(count)} bytes"


def time_text(seconds: float) -> str:
    """Returns a duration as hours, minutes or seconds, whichever a reader needs."""
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole} s"
