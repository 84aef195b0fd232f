"""No key and no signature gets out: all that is written, shown or logged is searched, after all kinds of runs."""

from __future__ import annotations

import base64
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from demo.__main__ import BUCKET
from labeling.storage import open_folder
from sandbox.server import running
from tests.acceptance.commands import COMMAND, ROOT, started, until
from tests.conftest import Scripted
from tests.sandbox.servers import Receiver

KEY = "test_5e3c7e71ab0d4b8f"
CALLBACK_KEY = "callback-5e3c7e72cd"
AWS_SECRET = "aws5e3c7e73/ef+secret"
SIGNATURES = re.compile(rb"X-Amz-(Signature|Credential|Security-Token)(=|%3D)[^&\s\"'<>\\]", re.IGNORECASE)
WRITTEN = ["", "labels/", "rejects/", "errors/", "_ledger/", "_ledger/submissions/", "_ledger/runs/"]
FAULTS = "seed=7, reset=1%, dropped=2%, 500-after=2%, 429=1%, broken-json=1%, error=3%, dead-attachment=3%, slow=2%"
CRASH = """
import runpy, sys
from labeling import s3
from labeling.ledger import Ledger
def record(self, submissions):
    raise RuntimeError("a bug, met with " + s3.presign(submissions[0].attachments[0], 600))
Ledger.record = record
sys.argv[0] = "label_dataset"
runpy.run_module("flows.label_dataset", run_name="__main__")
"""


@dataclass
class World:
    """Where the commands run, and all that they said."""

    folder: Path
    environment: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    command_lines: set[bytes] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "prefect"

    def run(self, name: str, *arguments: object, stop: bool = False, command: list[str] = COMMAND, **more: str) -> int:
        """Run the command, with Prefect's log at its loudest; stop: press Ctrl-C once tasks are made."""
        environment = {**self.environment, **more}
        with started(*arguments, home=self.home, command=command, **environment) as process, self._watched():
            if stop:
                until(lambda: list((self.folder / name / "_ledger" / "runs").glob("*")))
                until(lambda: "Beginning flow run" in self._prefect_log() or process.poll() is not None, 40)
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=120)
        self.said[name] = output + errors
        return process.returncode

    def _prefect_log(self) -> str:
        try:
            with closing(sqlite3.connect(self.home / "prefect.db", timeout=5)) as database:
                return "Beginning flow run" if database.execute("select 1 from flow_run limit 1").fetchone() else ""
        except sqlite3.Error:
            return ""

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Look at the command lines of all processes meanwhile."""
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended,))
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(0.2):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.command_lines.add(file.read_bytes())
                except OSError:
                    continue


def decoded(name: str, content: bytes) -> list[bytes]:
    """A file as it is, and as its readers see it."""
    if not name.endswith(".parquet"):
        return [content]
    table = pq.read_table(pa.BufferReader(content))
    return [content, str(table.to_pylist()).encode(), str(table.schema.metadata).encode()]


def dumped(database: Path) -> bytes:
    """All that a database holds: in the file a long text lies in pieces."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump()).encode()


def leaks(where: dict[str, bytes]) -> list[str]:
    """Where which secret stands."""
    secrets: dict[str, Any] = {
        "the key": re.compile(re.escape(KEY).encode()),
        "the key in base64": re.compile(re.escape(base64.b64encode(f"{KEY}:".encode())[:-4])),
        "the callbacks' key": re.compile(CALLBACK_KEY.encode()),
        "the AWS secret": re.compile(re.escape(AWS_SECRET).encode()),
        "a signature": SIGNATURES,
    }
    return [
        f"{what} in {name}" for name, content in where.items() for what, look in secrets.items() if look.search(content)
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, demo_s3: dict[str, str]) -> World:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "temporary").mkdir()
    return World(
        folder,
        {
            **demo_s3,
            "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
            "SCALE_API_KEY": KEY,
            "SCALE_CALLBACK_AUTH_KEY": CALLBACK_KEY,
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "PREFECT_LOGGING_SERVER_LEVEL": "DEBUG",
            "PREFECT_LOGGING_LOG_PRINTS": "true",
            "TMPDIR": str(folder / "temporary"),
        },
    )


def config_for(world: World, name: str, url: str, callback: str | None = None, **changes: Any) -> Path:
    """The demo's job of images in S3, with an output of its own."""
    document = yaml.safe_load((ROOT / "configs" / "street-boxes.yaml").read_text())
    document |= {"name": name, "output": str(world.folder / name), "max_rejected": 1.0, **changes}
    document["scale"] = {**document.get("scale", {}), "url": url, "mode": "test"}
    if callback:
        document["task"]["callback_url"] = callback
    path = world.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def echo_server(scripted: Scripted) -> None:
    """Takes the key while it is greeted, then says each request back, and its key, in what it says is wrong."""

    def answer(method: str, path: str, body: bytes) -> Any:
        if method == "GET":
            return 200, {"docs": [], "total": 0, "has_more": False}, {}
        said = scripted.requests[-1][3].get("Authorization", "")
        return 401, {"error": f"no such key {KEY} ({said}) for {body.decode()}"}, {}

    scripted.answer = answer


def test_no_secret_gets_out(
    world: World, demo_s3: dict[str, str], scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    log = world.folder / "sandbox.log"
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", CALLBACK_KEY)
    for name, value in demo_s3.items():
        monkeypatch.setenv(name, value)
    output = f"s3://{BUCKET}/secrets/full"
    with running(faults=FAULTS, log=log) as url:
        full = config_for(world, "full", url, callback=f"{receiver.url}/done")
        assert world.run("full", full, "--output", output) == 0, world.said["full"]
        slow = config_for(world, "stopped", url, submit={"rate": "5/s"})
        assert world.run("stopped", slow, stop=True) == 130, world.said["stopped"]
        crashed = [sys.executable, "-c", CRASH]
        assert world.run("crashed", config_for(world, "crashed", url), command=crashed) == 1, world.said["crashed"]
    echo_server(scripted)
    assert world.run("refused", config_for(world, "refused", scripted.url)) == 1, world.said["refused"]
    receiver.close()

    # The search would be for nothing if these secrets had not been in use.
    assert any(headers.get("scale-callback-auth") == CALLBACK_KEY for _, headers, _, _ in receiver.seen)
    asked = [body for method, _, body, _ in scripted.requests if method == "POST"]
    assert SIGNATURES.search(b"".join(asked))
    assert "no such key" in world.said["refused"]
    assert "A mistake of ours" in world.said["crashed"]
    nets = list((world.folder / "temporary").rglob("labelflow-*.txt"))
    assert any("a bug, met with" in net.read_text() for net in nets)

    places = {f"what {name} said": text.encode() for name, text in world.said.items()}
    places["the process list"] = b"\n".join(world.command_lines)
    for file in (file for file in world.folder.rglob("*") if file.is_file()):
        for index, content in enumerate(decoded(file.name, file.read_bytes())):
            places[f"{file.relative_to(world.folder)} ({index})"] = content
    places["Prefect's database"] = dumped(world.home / "prefect.db")
    folder = open_folder(output)
    written = [file.name for below in WRITTEN for file in folder.list(below)]
    assert {"labels", "_ledger"} <= {name.split("/")[0] for name in written}
    for name in written:
        for index, content in enumerate(decoded(name, folder.read(name) or b"")):
            places[f"{output}/{name} ({index})"] = content
    assert len(places["Prefect's database"]) > 100_000
    assert b"label-full" in places["Prefect's database"]
    assert leaks(places) == []


def test_the_search_finds_what_it_looks_for() -> None:
    basic = base64.b64encode(f"{KEY}:".encode())
    url = b"http://x/y?X-Amz-Credential=AKIA%2F2026&X-Amz-Signature=0a1b"
    assert len(leaks({"all": b" ".join([KEY.encode(), basic, CALLBACK_KEY.encode(), AWS_SECRET.encode(), url])})) == 5
    assert leaks({"none": b"http://x/y?X-Amz-Signature= and X-Amz-Credential"}) == []
    table = pa.table({"attachment": [url.decode()]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    assert leaks(dict(enumerate(decoded("a.parquet", sink.getvalue().to_pybytes())))) != []  # type: ignore[arg-type]
