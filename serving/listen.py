"""Taking the port that a server is to answer on, with an error that says who has it already."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

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
            hint="name an address of this machine, such as 127.0.0.1 or 0.0.0.0",
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


class WorkerSocket(socket.socket):
    """A bound socket that a worker process gets one like, of its own, in place of.

    Each worker's socket has a queue of its own, over which the system spreads connections evenly. Of
    one queue the first worker to wake takes all that has come.
    """

    def __reduce__(self) -> tuple[Callable[..., WorkerSocket], tuple[int, Any]]:
        return bind_beside, (self.family, self.getsockname())


def bind_beside(family: int, address: Any) -> WorkerSocket:
    """A socket bound to an address that others of its kind are bound to; it does not listen yet."""
    made = WorkerSocket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    return made


def for_workers(taken: socket.socket) -> socket.socket:
    """The socket to hand to several workers, of what `listen` gave, where the system has such."""
    if not hasattr(socket, "SO_REUSEPORT"):
        return taken
    family, address = taken.family, taken.getsockname()
    # Only the workers listen: what came to this process would wait for ever.
    taken.close()
    return bind_beside(family, address)


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
            hint=f"end that program, or name another port: --port {port + 1 if port < 65535 else 0}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ForebayError(
            f"port {port} is kept for the system's administrator",
            where="--port",
            hint="name a port of 1024 or more",
        )
    return ForebayError(
        f"{host} is not an address of this machine ({error.strerror})",
        where="--host",
        hint="name one, such as 127.0.0.1, or 0.0.0.0 for all",
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
