"""PostgreSQL as Debian has it: the installed one, else its packages, fetched once and unpacked."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from tests.servers.process import ServerError, fetch_once, free_port, start, stop, wait_until

USER = "forebay"
#: Odd on purpose: a URL has to quote it, and a search for it in files finds nothing else.
PASSWORD = "p@ss/w0rd:postgres"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class PostgresServer:
    """A server on loopback that asks for a password.

    Attributes:
        port: of SQL.
        pid: of the server's process.
        user: the superuser.
        password: of that user, as it stands; a URL needs it quoted.
    """

    port: int
    pid: int
    user: str = USER
    password: str = PASSWORD

    def create_database(self) -> str:
        """Make an empty database, and give its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with closing(self.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"create database {name}")
        return name

    def connect(self, database: str) -> psycopg2.extensions.connection:
        """A connection of the superuser's."""
        return psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
        )


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL in a folder of its own, stopped and removed at the end.

    Raises:
        ServerError: it is neither installed nor to be had, or does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="forebay-postgres-"))
    folder.chmod(0o755)
    try:
        programs, env = _programs(folder)
        data = folder / "data"
        data.mkdir()
        as_user: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(data, "nobody", "nogroup")
        _make_cluster([*as_user, str(programs / "initdb")], data, env)
        port = free_port()
        command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port)]
        command += ["-k", str(data), "-c", "fsync=off", "-c", "max_connections=60"]
        command += ["-c", "shared_buffers=16MB"]
        # A change of user clears the signal that ends the server with its parent.
        tied = ["setpriv", "--pdeathsig", "KILL"]
        process = start([*as_user, *tied, *command], folder, env=env)
        try:
            server = PostgresServer(port, process.pid)
            wait_until(lambda: _answers(server), process, folder, seconds=60)
            yield server
        finally:
            stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_cluster(initdb: Sequence[str], data: Path, env: dict[str, str]) -> None:
    password = data.parent / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    options = ["-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync"]
    options += ["-E", "UTF8", "--locale=C"]
    command = [*initdb, "-D", str(data), *options]
    done = subprocess.run(
        command, cwd=data, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerError(f"initdb fails: {(done.stdout + done.stderr)[-2000:]}")


def _answers(server: PostgresServer) -> bool:
    try:
        server.connect("postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


def _programs(folder: Path) -> tuple[Path, dict[str, str]]:
    """Where the server's programs are, and the environment that they need."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent, {}
    packages = fetch_once("postgresql", _fetch)
    # Unpacked beside the data: the user that the server runs as may not read the cache.
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
    (unpacked,) = folder.glob("usr/lib/postgresql/*/bin")
    (library,) = folder.glob("usr/lib/*/libpq.so.5")
    return unpacked, {"LD_LIBRARY_PATH": str(library.parent)}


def _fetch(folder: Path) -> None:
    said = ""
    try:
        listed = _run(["apt-cache", "depends", "postgresql"], folder)
        named = re.search(r"Depends: (postgresql-\d+)", listed)
        if named:
            _run(["apt-get", "download", "-q", named[1], "libpq5"], folder)
            return
    except (OSError, subprocess.CalledProcessError) as error:
        said = f": {error}"
    raise ServerError(
        f"no PostgreSQL, and apt does not give its packages{said}. Install postgresql, or run "
        "`apt-get update` first"
    )


def _run(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
