"""An S3 of one machine: moto's server, which keeps its objects in memory."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from tests.servers.process import free_port, listens, start, stop, wait_until

ACCESS_KEY = "AKIAFOREBAYTESTS0001"
#: A search for it in files finds nothing else.
SECRET_KEY = "s3cret+key/forebay=tests"
REGION = "eu-west-1"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class S3Server:
    """An object store on loopback.

    Attributes:
        endpoint: its URL.
        pid: of the server's process.
    """

    endpoint: str
    pid: int
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION

    def create_bucket(self) -> str:
        """Make an empty bucket, and give its name."""
        name = f"test-{os.getpid()}-{next(_numbers)}"
        place = {"LocationConstraint": self.region}
        self.client().create_bucket(Bucket=name, CreateBucketConfiguration=place)
        return name

    def client(self) -> Any:
        """A client of boto's."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def properties(self) -> dict[str, str]:
        """What pyiceberg needs of it, as catalog properties."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.region": self.region,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
        }

    def environment(self) -> dict[str, str]:
        """The same as AWS's clients read it from the environment."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """An empty object store, stopped at the end.

    Raises:
        ServerError: it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="forebay-s3-"))
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = start(command, folder)
    try:
        wait_until(lambda: listens(port), process, folder, seconds=60)
        yield S3Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)
