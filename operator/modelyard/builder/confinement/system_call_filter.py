"""The seccomp filter of a confined process: https://docs.kernel.org/userspace-api/seccomp_filter.html.

The filter needs no privilege. It closes what Landlock leaves open: UDP, UNIX sockets, Multipath TCP, TCP Fast
Open, and connections to the guard's port on other hosts. A process outside the filter answers each `connect`,
see connection_supervisor.py.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from typing import Final, NamedTuple

from modelyard.builder.confinement.system_calls import LIBC, checked, forbid_new_privileges

_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 1 << 3
_ALLOW: Final = 0x7FFF0000
_NOTIFY: Final = 0x7FC00000
_ERRNO: Final = 0x00050000

# Instructions of classic BPF: https://docs.kernel.org/networking/filter.html.
_LOAD: Final = 0x20  # 32 bits at an offset of struct seccomp_data
_JUMP_EQUAL: Final = 0x15
_JUMP_NOT_LESS: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_AND: Final = 0x54
_RETURN: Final = 0x06
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16
_ARGUMENT_BYTES: Final = 8

_X32_CALLS: Final = 0x40000000
"""Numbers from here on are calls of the x32 interface, which would pass the filter by other numbers."""
_NAMESPACE_FLAGS: Final = 0x7E020000
"""The flags CLONE_NEW* of clone."""
_FAST_OPEN: Final = 0x20000000
_SOCKET_TYPE: Final = 0xF
_TCP_PROTOCOLS: Final = (0, socket.IPPROTO_TCP)


class _Call(NamedTuple):
    """The number of a system call on each machine, from the tables of the kernel.

    https://github.com/torvalds/linux/blob/master/arch/x86/entry/syscalls/syscall_64.tbl and
    https://github.com/torvalds/linux/blob/master/include/uapi/asm-generic/unistd.h.
    """

    x86_64: int
    aarch64: int


_AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h for each machine."""
_SECCOMP: Final = _Call(317, 277)
_SOCKET: Final = _Call(41, 198)
_CONNECT: Final = _Call(42, 203)
_SENDTO: Final = _Call(44, 206)
_SENDMSG: Final = _Call(46, 211)
_SENDMMSG: Final = _Call(307, 269)
_CLONE: Final = _Call(56, 220)
_CLONE3: Final = _Call(435, 435)
_REFUSED: Final = {
    "bind": _Call(49, 200),
    "listen": _Call(50, 201),
    "ptrace": _Call(101, 117),
    "process_vm_readv": _Call(310, 270),
    "process_vm_writev": _Call(311, 271),
    "kcmp": _Call(312, 272),
    "pidfd_getfd": _Call(438, 438),
    "process_madvise": _Call(440, 440),
    "io_uring_setup": _Call(425, 425),
    "io_uring_enter": _Call(426, 426),
    "io_uring_register": _Call(427, 427),
    "perf_event_open": _Call(298, 241),
    "bpf": _Call(321, 280),
    "userfaultfd": _Call(323, 282),
    "add_key": _Call(248, 217),
    "request_key": _Call(249, 218),
    "keyctl": _Call(250, 219),
    "unshare": _Call(272, 97),
    "setns": _Call(308, 268),
    "mount": _Call(165, 40),
    "umount2": _Call(166, 39),
    "pivot_root": _Call(155, 41),
    "chroot": _Call(161, 51),
    "open_tree": _Call(428, 428),
    "move_mount": _Call(429, 429),
    "fsopen": _Call(430, 430),
    "fsmount": _Call(432, 432),
    "mount_setattr": _Call(442, 442),
    "open_by_handle_at": _Call(304, 265),
    "kexec_load": _Call(246, 104),
    "kexec_file_load": _Call(320, 294),
    "init_module": _Call(175, 105),
    "finit_module": _Call(313, 273),
}
"""Calls that neither uv, rattler, compilers nor build backends need. io_uring passes seccomp."""


def filter_system_calls(*, supervised: bool) -> int | None:
    """Filter the system calls of this process, and of each process that it starts.

    With `supervised`, each `connect` waits for the owner of the returned file descriptor, and otherwise is
    allowed. Refused calls fail with EACCES. Returns None without `supervised`. Call the function before the
    process starts a second thread. Raises OSError if the kernel has no seccomp filter, or knows no such
    machine.
    """
    machine = platform.machine()
    if machine not in _AUDIT:
        raise OSError(errno.ENOSYS, f"no filter of system calls for {machine}")
    code = b"".join(_program(machine, supervised=supervised))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    forbid_new_privileges()
    flags = _NEW_LISTENER if supervised else 0
    number = getattr(_SECCOMP, machine)
    result = checked(LIBC.syscall(number, _SET_MODE_FILTER, ctypes.c_ulong(flags), ctypes.c_char_p(program)))
    if not supervised:
        return None
    os.set_inheritable(result, False)
    return result


def _program(machine: str, *, supervised: bool) -> list[bytes]:
    """Return the instructions. A jump has the number of instructions to skip if true, and if false."""

    def when(call: _Call, body: list[bytes]) -> list[bytes]:
        """Return instructions that run `body`, which ends with a return, for one system call."""
        return [_jump(_JUMP_EQUAL, getattr(call, machine), 0, len(body)), *body]

    lines = [
        _load(_ARCHITECTURE),
        _jump(_JUMP_EQUAL, _AUDIT[machine], 1, 0),
        _return(_ERRNO | errno.ENOSYS),  # a call of the 32-bit interface
        _load(_NUMBER),
        _jump(_JUMP_NOT_LESS, _X32_CALLS, 0, 1),
        _return(_ERRNO | errno.ENOSYS),
        # Its flags are in memory, which a filter cannot read. The C library then calls clone.
        *when(_CLONE3, [_return(_ERRNO | errno.ENOSYS)]),
        *when(_CONNECT, [_return(_NOTIFY if supervised else _ALLOW)]),
        *when(_CLONE, _refuse_bits(0, _NAMESPACE_FLAGS)),
        *when(_SENDMSG, _refuse_bits(2, _FAST_OPEN)),
        *when(_SENDMMSG, _refuse_bits(3, _FAST_OPEN)),
        *when(_SENDTO, _refuse_pointer(4)),
        *when(_SOCKET, _allow_tcp()),
    ]
    for call in _REFUSED.values():
        lines += when(call, [_return(_ERRNO | errno.EACCES)])
    return [*lines, _return(_ALLOW)]


def _refuse_bits(argument: int, bits: int) -> list[bytes]:
    return [
        _load_argument(argument),
        _jump(_JUMP_ANY_BIT, bits, 0, 1),
        _return(_ERRNO | errno.EACCES),
        _return(_ALLOW),
    ]


def _refuse_pointer(argument: int) -> list[bytes]:
    """Return instructions that refuse a pointer other than NULL, of 64 bits."""
    return [
        _load_argument(argument),
        _jump(_JUMP_EQUAL, 0, 0, 2),
        _load_argument(argument, high=True),
        _jump(_JUMP_EQUAL, 0, 1, 0),
        _return(_ERRNO | errno.EACCES),
        _return(_ALLOW),
    ]


def _allow_tcp() -> list[bytes]:
    """Return instructions that allow sockets of TCP over IPv4 and IPv6 only."""
    return [
        _load_argument(0),
        _jump(_JUMP_EQUAL, socket.AF_INET, 1, 0),
        _jump(_JUMP_EQUAL, socket.AF_INET6, 0, 6),
        _load_argument(1),
        struct.pack("=HBBI", _AND, 0, 0, _SOCKET_TYPE),
        _jump(_JUMP_EQUAL, socket.SOCK_STREAM, 0, 3),
        _load_argument(2),
        _jump(_JUMP_EQUAL, _TCP_PROTOCOLS[0], 2, 0),
        _jump(_JUMP_EQUAL, _TCP_PROTOCOLS[1], 1, 0),
        _return(_ERRNO | errno.EACCES),
        _return(_ALLOW),
    ]


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", _LOAD, 0, 0, offset)


def _load_argument(number: int, *, high: bool = False) -> bytes:
    return _load(_ARGUMENTS + number * _ARGUMENT_BYTES + (4 if high else 0))


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _return(value: int) -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, value)
