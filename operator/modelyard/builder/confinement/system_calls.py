"""System calls that the standard library lacks."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS: Final = 38


def checked(result: int) -> int:
    """Return the result of a system call. Raises OSError if it failed."""
    if result < 0:
        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, os.strerror(code))
    return result


def forbid_new_privileges() -> None:
    """Let no program that this process starts gain privileges, as Landlock and seccomp require.

    Raises OSError.
    """
    checked(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
