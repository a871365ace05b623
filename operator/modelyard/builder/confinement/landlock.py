"""Confinement of a process by Landlock, which needs no privilege: https://docs.kernel.org/userspace-api/landlock.html.

A confined process, and each process that it starts, reaches only the listed files. It reads no environment
and no memory of a process outside of the confinement, because Landlock restricts ptrace and with it
`/proc/<pid>/environ`.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from modelyard.builder.confinement.system_calls import LIBC, checked, forbid_new_privileges

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REFER: Final = 1 << 13  # links and renames between folders
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
"""Rights that a rule for a file may have; others are for folders."""
_CONNECT_TCP: Final = 1 << 1
_NETWORK: Final = 0b11  # bind and connect of TCP
_RULE_NET_PORT: Final = 2
_NETWORK_ABI: Final = 4
_SCOPES: Final = 0b11  # abstract UNIX sockets and signals to processes outside of the confinement
_ACCESSES: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""ABI version → number of rights to files, from 1 << 0 on. Later versions have 16."""
_MOST_ACCESSES: Final = 16
_SCOPES_ABI: Final = 6


def landlock_version() -> int:
    """Return the version of Landlock's interface in the kernel, 0 if the kernel has none."""
    return max(0, int(LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)))


def confine(
    *, readable: Iterable[str | Path], writable: Iterable[str | Path], port: int | None = None
) -> bool:
    """Confine this thread, and all processes that it starts, to these files and folders, and to one TCP port.

    `port` is the only port that connections may have; None for no limit. Limits of TCP need Linux 6.7. Paths
    that do not exist are left out. Call the function before the process starts a second thread, which would
    stay unconfined. Returns False, and changes nothing, if the kernel has no Landlock. Raises OSError.
    """
    version = landlock_version()
    if version == 0:
        return False
    handled = (1 << _ACCESSES.get(version, _MOST_ACCESSES)) - 1
    limits_ports = port is not None and version >= _NETWORK_ABI
    attributes = struct.pack("=QQQ", handled, _NETWORK if limits_ports else 0, _SCOPES)
    size = len(attributes) if version >= _SCOPES_ABI else len(attributes) - 8
    if version < _NETWORK_ABI:
        size = 8
    ruleset = checked(
        LIBC.syscall(_CREATE_RULESET, ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    )
    try:
        for path in readable:
            _allow(ruleset, path, _READ & handled)
        for path in writable:
            _allow(ruleset, path, handled)
        if limits_ports:
            _add_rule(ruleset, _RULE_NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port))
        forbid_new_privileges()
        checked(LIBC.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str | Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _FILE
        _add_rule(ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, opened))
    finally:
        os.close(opened)


def _add_rule(ruleset: int, kind: int, rule: bytes) -> None:
    checked(LIBC.syscall(_ADD_RULE, ruleset, kind, ctypes.c_char_p(rule), ctypes.c_uint32(0)))
