"""Audit hooks that a test process can have while coverage measures its threads.

Before CPython 3.12 only one thread at a time can install a trace function. Another thread gets a
RuntimeError: https://github.com/python/cpython/issues/98257. Without audit hooks in Python no thread can
get in between. `sys.addaudithook` has no counterpart that removes a hook, so one hook endangers all later
tests.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any


def add_audit_hook(hook: Callable[[str, tuple[Any, ...]], None]) -> None:
    """Call the hook for `socket.connect` only, from the class of all sockets that Python code opens.

    `test_egress_policy.py` compares this with `sys.addaudithook` in a process of its own.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def audited_connect(self: socket.socket, address: Any) -> None:
        hook("socket.connect", (self, address))
        connect(self, address)

    def audited_connect_ex(self: socket.socket, address: Any) -> int:
        hook("socket.connect", (self, address))
        return connect_ex(self, address)

    socket.socket.connect = audited_connect  # type: ignore[assignment, method-assign]
    socket.socket.connect_ex = audited_connect_ex  # type: ignore[assignment, method-assign]
