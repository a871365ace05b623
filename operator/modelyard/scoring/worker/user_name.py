"""A name for a user id without an entry in /etc/passwd, as 10001 in most base images.

Without a name, `getpass.getuser()` and `pwd.getpwuid(os.getuid())` raise KeyError: torch, mlflow and others
call them when they are imported. Standard library only, without other modules of the runtime: child processes
of the driver import this module, too.
"""

import os
import pwd
from collections.abc import Mapping
from typing import Final

NAME: Final = "modelyard"
"""The name of the user, unless LOGNAME or USER has one."""

TEMPORARY_FOLDER: Final = "/tmp"  # noqa: S108 - of the container, where a pod mounts its volume
"""The home folder, unless HOME names a writable one."""


def has_entry(user_id: int) -> bool:
    """Return True if the system knows a name for the user id."""
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True


def user_variables(environment: Mapping[str, str], user_id: int) -> dict[str, str]:
    """Return USER, LOGNAME and HOME for the processes of the driver; none for a user with an entry."""
    if has_entry(user_id):
        return {}
    name = environment.get("LOGNAME") or environment.get("USER") or NAME
    home = environment.get("HOME", "")
    if not os.access(home, os.W_OK):
        home = environment.get("TMPDIR") or TEMPORARY_FOLDER
    return {"USER": name, "LOGNAME": name, "HOME": home}


def install() -> None:
    """Add the user to the module pwd of this process, if the user has no entry.

    Programs that are not written in Python read /etc/passwd themselves, and find no entry.
    """
    user_id = os.getuid()
    if has_entry(user_id):
        return
    variables = user_variables(os.environ, user_id)
    user, home = variables["USER"], variables["HOME"]
    entry = pwd.struct_passwd((user, "x", user_id, os.getgid(), user, home, "/bin/sh"))
    by_id, by_name, every = pwd.getpwuid, pwd.getpwnam, pwd.getpwall
    vars(pwd).update(
        getpwuid=lambda uid: entry if uid == user_id else by_id(uid),
        getpwnam=lambda name: entry if name == user else by_name(name),
        getpwall=lambda: [*every(), entry],
    )
