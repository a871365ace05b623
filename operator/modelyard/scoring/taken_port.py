"""The address of `modelyard serve`: why a server cannot listen there, and which port is free."""

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
"""Linux only: on other systems the process that has a port is not named."""

MAX_TRIED_PORTS: Final = 100
MAX_COMMAND_LENGTH: Final = 60
_LISTENING: Final = "0A"
"""TCP_LISTEN in https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html."""


def listen_error(host: str, port: int) -> str | None:
    """Return why a server cannot listen at the address, with the way out; None if it can."""
    error = _bind_error(host, port)
    if error is None:
        return None
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen at {host} port {port}: {error.strerror}"
    message = f"the port {port} of {host} is taken{_owner(port)}"
    free = next((one for one in _higher_ports(port) if _bind_error(host, one) is None), None)
    return f"{message}: end it, or use --port {free or '<another port>'}"


def _higher_ports(port: int) -> range:
    return range(port + 1, min(port + 1 + MAX_TRIED_PORTS, 65536))


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                # As the server does: a port whose last connections wait for their end is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        return error
    return None


def _owner(port: int) -> str:
    """Return `` by process 1 (command)``; `` by another process`` if it cannot be found."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in PROC.glob("[0-9]*") if sockets else ():
        with suppress(OSError):  # processes of other users, or one that has just ended
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return f" by process {process.name} ({command.strip()[:MAX_COMMAND_LENGTH]})"
    return " by another process"


def _listening_inodes(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
