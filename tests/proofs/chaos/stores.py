"""Stores for the output: on disk, or in S3 behind a proxy. Both can fail for a while."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from pyarrow import fs

BUCKET = "chaos"
SECRET = "a-secret-of-chaos"
S3_OUTAGES = {
    "connections cut": b"",
    "answers 503": b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}
MAX_FILE_BYTES = 1000  # lease files are smaller, other files are larger


class OutputStore(Protocol):
    """Output folders of jobs. environment: variables that a process needs to use it; outages: its kinds of outages."""

    environment: dict[str, str]
    outages: tuple[str, ...]

    def output(self, job: str) -> str:
        """The URI of a job's output folder."""

    def path(self, job: str) -> str:
        """The path of a job's output folder in `filesystem`."""

    def filesystem(self) -> fs.FileSystem:
        """A pyarrow filesystem for it, independent of labelflow."""

    def fail(self, job: str, outage: str, runs: list[int]) -> None:
        """Start an outage of the job's output folder. runs: process ids of the runs."""

    def recover(self, job: str, runs: list[int]) -> None:
        """End the outage."""


class DiskStore:
    """Folders on disk, behind symbolic links. During the outage `disk away` the link points to a file."""

    def __init__(self, folder: Path) -> None:
        self.environment: dict[str, str] = {}
        self.outages: tuple[str, ...] = ("disk away", "disk full")
        self._folder = folder
        (folder / "disks").mkdir()
        (folder / "nothing").write_text("no folder")

    def output(self, job: str) -> str:
        disk = self._folder / "disks" / job
        disk.mkdir()
        self._point_link(job, disk)
        return self.path(job)

    def path(self, job: str) -> str:
        return str(self._folder / job / "out")

    def filesystem(self) -> fs.FileSystem:
        return fs.LocalFileSystem()

    def fail(self, job: str, outage: str, runs: list[int]) -> None:
        if outage == "disk away":
            self._point_link(job, self._folder / "nothing")
            return
        for run in runs:
            _limit_file_size(run, MAX_FILE_BYTES)

    def recover(self, job: str, runs: list[int]) -> None:
        self._point_link(job, self._folder / "disks" / job)
        for run in runs:
            _limit_file_size(run, resource.RLIM_INFINITY)

    def _point_link(self, job: str, target: Path) -> None:
        new = self._folder / f"{job}.new"
        new.symlink_to(target)
        new.replace(self._folder / job)


def _limit_file_size(process: int, size: int) -> None:
    """Limit the size of files that a process writes: larger writes fail after the first bytes, as on a full disk."""
    with suppress(ProcessLookupError):
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class S3Store:
    """A bucket behind a proxy. During an outage the proxy closes all connections, or responds with 503."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self.outages: tuple[str, ...] = tuple(S3_OUTAGES)
        self._proxy = proxy
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
            "AWS_ACCESS_KEY_ID": "chaos",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def output(self, job: str) -> str:
        return f"s3://{self.path(job)}"

    def path(self, job: str) -> str:
        return f"{BUCKET}/{job}"

    def filesystem(self) -> fs.FileSystem:
        return fs.S3FileSystem(
            access_key="chaos",
            secret_key=SECRET,
            region="us-east-1",
            scheme="http",
            endpoint_override=f"127.0.0.1:{self._proxy.port}",
        )

    def fail(self, job: str, outage: str, runs: list[int]) -> None:
        self._proxy.fail_with(S3_OUTAGES[outage])

    def recover(self, job: str, runs: list[int]) -> None:
        self._proxy.recover()


class FaultyProxy:
    """Forwards TCP connections to a port, except during an outage."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._canned_response: bytes | None = None  # sent to all clients during an outage; empty: close the connection
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def fail_with(self, response: bytes = b"") -> None:
        with self._lock:
            self._canned_response = response
            for end in self._connections:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def recover(self) -> None:
        with self._lock:
            self._canned_response = None

    def close(self) -> None:
        self.fail_with()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), closing(client):
            response = self._canned_response
            if response is not None:
                if response:
                    client.recv(1 << 16)
                    client.sendall(response)
                return
            with closing(socket.create_connection(("127.0.0.1", self._target))) as server:
                pair = {client, server}
                with self._lock:
                    self._connections |= pair
                return_thread = threading.Thread(target=_pump, args=(server, client), daemon=True)
                return_thread.start()
                _pump(client, server)
                return_thread.join()
                with self._lock:
                    self._connections -= pair


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def open_store(kind: str, folder: Path) -> Iterator[OutputStore]:
    """Open a store of a kind: "disk" or "s3"."""
    if kind == "disk":
        yield DiskStore(folder)
        shutil.rmtree(folder, ignore_errors=True)
        return
    with _moto() as port, closing(FaultyProxy(port)) as proxy:
        store = S3Store(proxy)
        _make_bucket(store)
        yield store


@contextmanager
def _moto() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def _make_bucket(store: S3Store) -> None:
    import boto3

    credentials = {"aws_access_key_id": "chaos", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    endpoint = store.environment["AWS_ENDPOINT_URL"]
    boto3.client("s3", endpoint_url=endpoint, **credentials).create_bucket(Bucket=BUCKET)  # type: ignore[call-overload]


def use(store: OutputStore) -> None:
    """Let this process use the store, too: it reads the output of the runs."""
    os.environ.update(store.environment)
