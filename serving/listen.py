"""Taking the port that a server is to answer on, with an error that says who has it already."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from feature_specs.errors import ForebayError

_LISTENING = "0A"


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to host and port, which worker processes may inherit.

    Raises:
        ForebayError: the port is taken or not for this user, or the host is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ForebayError(
            f"there is no host {host!r} ({error.strerror})",
            where="--host",
            mend="name an address of this machine, such as 127.0.0.1 or 0.0.0.0",
        ) from None
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen()  # on some systems only this finds that another program listens there
    except OSError as error:
        made.close()
        raise _refused(host, port, error) from None
    made.set_inheritable(True)
    return made


def check_free(host: str, port: int) -> None:
    """Raises ForebayError where `listen` would, for servers that bind the port themselves."""
    listen(host, port).close()


def _refused(host: str, port: int, error: OSError) -> ForebayError:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        by = f" by {holder}" if holder else ""
        return ForebayError(
            f"port {port} of {host} is in use{by}",
            where="--port",
            mend=f"end that program, or name another port: --port {port + 1 if port < 65535 else 0}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ForebayError(
            f"port {port} is kept for the system's administrator",
            where="--port",
            mend="name a port of 1024 or more",
        )
    return ForebayError(
        f"{host} is no address of this machine ({error.strerror})",
        where="--host",
        mend="name one, such as 127.0.0.1, or 0.0.0.0 for all",
    )


def holder_of(port: int) -> str | None:
    """The program that listens on a port and its process id, where Linux shows it to this user."""
    inodes = {i for table in ("tcp", "tcp6") for i in _listening(Path("/proc/net") / table, port)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        if any(link in wanted for link in _open_files(process)):
            name = (process / "comm").read_text().strip()
            return f"{name} (PID {process.name})"
    return None


def _open_files(process: Path) -> Iterator[str]:
    """What a process has open, as far as this user may see and it still has it."""
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(link.readlink())


def _listening(table: Path, port: int) -> list[str]:
    """Inodes of the sockets that listen on a port, of one of the kernel's tables."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for fields in map(str.split, lines):
        if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
            found.append(fields[9])
    return found
