"""No key and no signature gets out: all that is written, shown or logged is searched, after all kinds of runs."""

from __future__ import annotations

import base64
import json
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
import requests
import yaml

from demo.__main__ import BUCKET
from labelflow.sandbox.settings.fault_spec import KNOWN
from labelflow.sandbox.testing import running
from labelflow.storage.folder import open_folder
from tests.acceptance.callbacks.service import free_port
from tests.acceptance.commands import COMMAND, ROOT, started, until
from tests.conftest import Scripted
from tests.support.jobs import document
from tests.support.media_server import MediaServer, picture
from tests.support.media_server import file as served

KEY = "test_5e3c7e71ab0d4b8f"
LIVE_KEY = "live_5e3c7e71cf20ad97"
CALLBACK_KEY = "callback-5e3c7e72cd"
AWS_SECRET = "aws5e3c7e73/ef+secret"
SIGNATURE = "5e3c7e75ab%2Fcd%3D"  # of URLs in a manifest
SIGNATURES = re.compile(rb"X-Amz-(Signature|Credential|Security-Token)(=|%3D)[^&\s\"'<>\\]", re.IGNORECASE)
LEDGER = [
    f"_ledger/{name}" for name in ("", "submissions/", "runs/", "collectors/", "callbacks/", "callbacks-set-aside/")
]
WRITTEN = ["", "labels/", "rejects/", "errors/", *LEDGER]
RATES = {"requests": "1.2%", "tasks": "6%", "callbacks": "8%"}
CRASH = """
import runpy, sys
from labelflow.storage import s3
from labelflow.ledger.ledger import Ledger
def record(self, submissions):
    raise RuntimeError("a bug, met with " + s3.presign(submissions[0].attachments[0], 600))
Ledger.record = record
sys.argv[0] = "label_dataset"
runpy.run_module("flows.label_dataset", run_name="__main__")
"""


def every_fault() -> str:
    """All that the sandbox can do wrong, each now and then."""
    takes_time = {name: f":{min(kind.seconds, 0.5)}s" if kind.seconds else "" for name, kind in KNOWN.items()}
    rated = [f"{name}={RATES[kind.target]}{takes_time[name]}" for name, kind in KNOWN.items() if kind.has_rate]
    return ", ".join(["seed=7", *rated, *(f"{name}=0.5s" for name, kind in KNOWN.items() if not kind.has_rate)])


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
    if name.endswith(".zst"):
        return [pa.input_stream(pa.py_buffer(content), compression="zstd").read()]
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
        "the key": re.compile(f"{KEY}|{LIVE_KEY}".encode()),
        "the key in base64": re.compile(b"|".join(re.escape(in_base64(key)) for key in (KEY, LIVE_KEY))),
        "the callbacks' key": re.compile(CALLBACK_KEY.encode()),
        "the AWS secret": re.compile(re.escape(AWS_SECRET).encode()),
        "a signature": SIGNATURES,
        "a signature of a manifest": re.compile(SIGNATURE.partition("%")[0].encode()),
    }
    return [
        f"{what} in {name}" for name, content in where.items() for what, look in secrets.items() if look.search(content)
    ]


def in_base64(key: str) -> bytes:
    """As it goes over the line, without the end that the padding changes."""
    return base64.b64encode(f"{key}:".encode())[:-4]


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


def config_for(world: World, name: str, url: str, **changes: Any) -> Path:
    """The demo's job of images in S3, with an output of its own."""
    made = yaml.safe_load((ROOT / "configs" / "street-boxes.yaml").read_text())
    made |= {"name": name, "output": str(world.folder / name), "max_unlabeled": 1.0, **changes}
    made["scale"] = {**made.get("scale", {}), "url": url, "mode": "test", "timeout": "2s"}
    path = world.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def signed_config_for(world: World, name: str, url: str, media: MediaServer, inputs: Path, port: int) -> Path:
    """A live job of images behind signed URLs, some of which are gone, and some no URLs at all.

    inputs: a folder that is not searched, for what people write themselves.
    """
    media.serve("/cat.png", served(picture(31, 17), "image/png"))
    signature = f"X-Amz-Credential=AKIA5&X-Amz-Signature={SIGNATURE}&Signature={SIGNATURE}&sig={SIGNATURE}"
    places = [f"{media.url}/cat.png"] * 98 + [f"{media.url}/gone.png", "ftp://x.example/cat.png"]
    rows = [{"id": f"r{number}", "picture": f"{place}?v=1&{signature}"} for number, place in enumerate(places)]
    (inputs / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"type": "categorization", "instruction": "Which is it?", "categories": ["a", "b"]}
    made = document(
        inputs,
        name=name,
        task={**task, "attachment_type": "image", "attachment": "{picture}"},
        metadata=["picture"],
        output=str(world.folder / name),
        collect={"callback_url": f"http://127.0.0.1:{port}/callback"},
        scale={"url": url, "mode": "live", "timeout": "2s"},
        max_unlabeled=1.0,
    )
    path = inputs / f"{name}.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def serve_collect_and_cancel(world: World, config: Path, port: int) -> dict[str, bytes]:
    """The way of a job whose answers are sent to the service. Gives the callbacks as they lay in the output."""
    command = [sys.executable, "-m", "flows.receive_callbacks"]
    live = {**world.environment, "SCALE_API_KEY": LIVE_KEY}
    with started(config, "--port", port, home=world.home, command=command, **live) as service:
        until(lambda: is_up(port))
        assert world.run("served", config, "--no-wait", SCALE_API_KEY=LIVE_KEY) == 0, world.said["served"]
        until(lambda: 'job="served",result="stored"' in metrics(port))
        service.send_signal(signal.SIGTERM)
        output, errors = service.communicate(timeout=30)
    world.said["the service"] = output + errors
    kept = {path.name: path.read_bytes() for path in (world.folder / "served" / "_ledger" / "callbacks").iterdir()}
    for name in ("collect_responses", "cancel_dataset"):
        options = ["--yes"] if name == "cancel_dataset" else []
        command = [sys.executable, "-m", f"flows.{name}"]
        assert world.run(name, config, *options, command=command, SCALE_API_KEY=LIVE_KEY) == 0, world.said[name]
    return kept


def metrics(port: int) -> str:
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text


def is_up(port: int) -> bool:
    try:
        return bool(metrics(port))
    except requests.ConnectionError:
        return False


def echo_server(scripted: Scripted) -> None:
    """Takes the key while it is greeted, then says each request back, and its key, in what it says is wrong."""

    def answer(method: str, path: str, body: bytes) -> Any:
        if method == "GET":
            return 200, {"docs": [], "total": 0, "has_more": False}, {}
        said = scripted.requests[-1][3].get("Authorization", "")
        return 401, {"error": f"no such key {KEY} ({said}) for {body.decode()}"}, {}

    scripted.answer = answer


def all_places(world: World, *outputs: str) -> dict[str, bytes]:
    """All that was said and written since the world began; outputs: those in S3."""
    places = {f"what {name} said": text.encode() for name, text in world.said.items()}
    places["the process list"] = b"\n".join(world.command_lines)
    for file in (file for file in world.folder.rglob("*") if file.is_file()):
        for index, content in enumerate(decoded(file.name, file.read_bytes())):
            places[f"{file.relative_to(world.folder)} ({index})"] = content
    places["Prefect's database"] = dumped(world.home / "prefect.db")
    assert len(places["Prefect's database"]) > 100_000
    for output in outputs:
        folder = open_folder(output)
        written = [file.name for below in WRITTEN for file in folder.list(below)]
        assert {"labels", "_ledger"} <= {name.split("/")[0] for name in written}
        for name in written:
            for index, content in enumerate(decoded(name, folder.read(name) or b"")):
                places[f"{output}/{name} ({index})"] = content
    return places


def check_faults(url: str) -> None:
    """Requests, tasks and callbacks met faults: with so few of them not each fault is met."""
    met = requests.get(url.replace("/v1", "/sandbox/faults"), timeout=10).json()
    assert set(met) == set(KNOWN)
    assert {str(KNOWN[name].target) for name, count in met.items() if count} >= set(RATES), met


def test_no_secret_gets_out_of_labeling(
    world: World, demo_s3: dict[str, str], scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", CALLBACK_KEY)
    for name, value in demo_s3.items():
        monkeypatch.setenv(name, value)
    output, port = f"s3://{BUCKET}/secrets/full", free_port()
    with running(faults=every_fault(), callback_day=60, log=world.folder / "sandbox.log") as url:
        called = {
            "wait": "callback",
            "callback_url": f"http://127.0.0.1:{port}/callback",
            "port": port,
            "poll_interval": "1s",
        }
        full = config_for(world, "full", url, collect=called)
        assert world.run("full", full, "--output", output) == 0, world.said["full"]
        slow = config_for(world, "stopped", url, submit={"rate": "5/s"})
        assert world.run("stopped", slow, stop=True) == 130, world.said["stopped"]
        crashed = [sys.executable, "-c", CRASH]
        assert world.run("crashed", config_for(world, "crashed", url), command=crashed) == 1, world.said["crashed"]
        check_faults(url)
    echo_server(scripted)
    assert world.run("refused", config_for(world, "refused", scripted.url)) == 1, world.said["refused"]

    # The search would be for nothing if these secrets had not been in use.
    asked = [body for method, _, body, _ in scripted.requests if method == "POST"]
    assert SIGNATURES.search(b"".join(asked))
    assert "no such key" in world.said["refused"]
    assert "A mistake of ours" in world.said["crashed"]
    nets = list((world.folder / "temporary").rglob("labelflow-*.txt"))
    assert any("a bug, met with" in net.read_text() for net in nets)

    places = all_places(world, output)
    assert b"label-full" in places["Prefect's database"]
    assert leaks(places) == []


def test_no_secret_gets_out_of_the_service_and_what_comes_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With URLs in the manifest that are signed already."""
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", CALLBACK_KEY)
    media, port = MediaServer(), free_port()
    with running(faults=every_fault(), turnaround="0.2-60", callback_day=60, log=world.folder / "live.log") as url:
        callbacks = serve_collect_and_cancel(
            world, signed_config_for(world, "served", url, media, tmp_path, port), port
        )
        check_faults(url)
    media.close()
    assert callbacks, "which the service has stored for the key that they came with"
    assert any(SIGNATURE in path for _, path, _ in media.requests)
    assert {"labels", "rejects", "errors"} <= {path.name for path in (world.folder / "served").iterdir()}

    places = all_places(world)
    places |= {f"the callback {name}": b"".join(decoded(name, content)) for name, content in callbacks.items()}
    assert b"cancel-" in places["Prefect's database"]
    assert leaks(places) == []


def test_the_search_finds_what_it_looks_for() -> None:
    basic = base64.b64encode(f"{LIVE_KEY}:".encode())
    url = b"http://x/y?X-Amz-Credential=AKIA%2F2026&X-Amz-Signature=0a1b"
    assert len(leaks({"all": b" ".join([KEY.encode(), basic, CALLBACK_KEY.encode(), AWS_SECRET.encode(), url])})) == 5
    assert leaks({"none": b"http://x/y?X-Amz-Signature= and X-Amz-Credential"}) == []
    table = pa.table({"attachment": [url.decode()]})
    packed = pa.compress(url, codec="zstd", asbytes=True)
    assert len(leaks({"all": b"".join(decoded("a.jsonl.zst", packed))})) == 1
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    assert leaks(dict(enumerate(decoded("a.parquet", sink.getvalue().to_pybytes())))) != []  # type: ignore[arg-type]
