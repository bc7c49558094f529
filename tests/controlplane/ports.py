"""Reserves free TCP ports on loopback until the server that needs one listens.

A reserved port stays bound by a socket of ours that never listens. The servers of a control plane
may bind it as well, because both sides ask for SO_REUSEPORT; other programs cannot, and the kernel
gives the port to no other program. So two control planes never share a port, and a server finds
its port free after a restart.
"""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


class Port:
    """One reserved port."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]

    def __str__(self) -> str:
        return str(self.number)

    def release(self) -> None:
        """Releases the port."""
        self._socket.close()
