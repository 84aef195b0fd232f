"""No key and no signature is written, shown or logged: the tests search everything after all kinds of runs."""

from __future__ import annotations

import base64
import json
import re
import shutil
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
from labelflow.sandbox.settings.fault_spec import KINDS_BY_NAME
from labelflow.sandbox.testing import running
from labelflow.storage.opening import open_folder
from tests.conftest import StubServer
from tests.proofs.callbacks.service import free_port
from tests.support.commands import COMMAND, ROOT, running_command, wait_until
from tests.support.jobs import job_document
from tests.support.media_server import MediaServer, picture
from tests.support.media_server import file_response as served

KEY = "test_5e3c7e71ab0d4b8f"
LIVE_KEY = "live_5e3c7e71cf20ad97"
CALLBACK_KEY = "callback-5e3c7e72cd"
AWS_SECRET = "aws5e3c7e73/ef+secret"
SIGNATURE = "5e3c7e75ab%2Fcd%3D"  # of URLs in a manifest
SIGNATURES = re.compile(rb"X-Amz-(Signature|Credential|Security-Token)(=|%3D)[^&\s\"'<>\\]", re.IGNORECASE)
LEDGER = [
    f"_ledger/{name}" for name in ("", "submissions/", "runs/", "collectors/", "callbacks/", "callbacks-set-aside/")
]
WRITTEN_FILES = ["", "labels/", "rejects/", "errors/", *LEDGER]
RATES = {"requests": "1.2%", "tasks": "6%", "callbacks": "8%"}
CRASH_SCRIPT = """
import runpy, sys
from labelflow.storage import s3
from labelflow.submission.submitter import Submitter
def submit(self, rows, budget):
    raise RuntimeError("a bug, met with " + s3.presign(rows[0].attachments[0].uri, 600))
Submitter.submit = submit
sys.argv[0] = "label_dataset"
runpy.run_module("flows.label_dataset", run_name="__main__")
"""


def all_faults() -> str:
    """Every fault of the sandbox, with a low probability each."""
    takes_time = {name: f":{min(kind.seconds, 0.5)}s" if kind.seconds else "" for name, kind in KINDS_BY_NAME.items()}
    rated = [f"{name}={RATES[kind.target]}{takes_time[name]}" for name, kind in KINDS_BY_NAME.items() if kind.has_rate]
    return ", ".join(["seed=7", *rated, *(f"{name}=0.5s" for name, kind in KINDS_BY_NAME.items() if not kind.has_rate)])


@dataclass
class SecretsEnvironment:
    """The working folder of the commands, and their output."""

    folder: Path
    environment: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    command_lines: set[bytes] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "prefect"

    def run(self, name: str, *arguments: object, stop: bool = False, command: list[str] = COMMAND, **more: str) -> int:
        """Run the command with Prefect's most detailed log; stop: send SIGINT once tasks are created."""
        environment = {**self.environment, **more}
        with (
            running_command(*arguments, home=self.home, command=command, **environment) as process,
            self._watching_processes(),
        ):
            if stop:
                wait_until(lambda: list((self.folder / name / "_ledger" / "runs").glob("*")))
                wait_until(lambda: "Beginning flow run" in self._prefect_log() or process.poll() is not None, 40)
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=120)
        self.outputs[name] = output + errors
        return process.returncode

    def _prefect_log(self) -> str:
        try:
            with closing(sqlite3.connect(self.home / "prefect.db", timeout=5)) as database:
                return "Beginning flow run" if database.execute("select 1 from flow_run limit 1").fetchone() else ""
        except sqlite3.Error:
            return ""

    @contextmanager
    def _watching_processes(self) -> Iterator[None]:
        """Read the command lines of all processes meanwhile."""
        ended = threading.Event()
        watcher = threading.Thread(target=self._record_command_lines, args=(ended,))
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _record_command_lines(self, ended: threading.Event) -> None:
        while not ended.wait(0.2):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.command_lines.add(file.read_bytes())
                except OSError:
                    continue


def readable_forms(name: str, content: bytes) -> list[bytes]:
    """The bytes of a file, and its decoded values."""
    if name.endswith(".zst"):
        return [pa.input_stream(pa.py_buffer(content), compression="zstd").read()]
    if not name.endswith(".parquet"):
        return [content]
    table = pq.read_table(pa.BufferReader(content))
    return [content, str(table.to_pylist()).encode(), str(table.schema.metadata).encode()]


def dump_database(database: Path) -> bytes:
    """All values of a database: its file stores long texts in pieces."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump()).encode()


def find_leaks(where: dict[str, bytes]) -> list[str]:
    """The secrets that were found, with their places."""
    secrets: dict[str, Any] = {
        "the key": re.compile(f"{KEY}|{LIVE_KEY}".encode()),
        "the key in base64": re.compile(b"|".join(re.escape(in_base64(key)) for key in (KEY, LIVE_KEY))),
        "the callbacks' key": re.compile(CALLBACK_KEY.encode()),
        "the AWS secret": re.compile(re.escape(AWS_SECRET).encode()),
        "a signature": SIGNATURES,
        "a signature of a manifest": re.compile(SIGNATURE.partition("%")[0].encode()),
    }
    return [
        f"{what} in {name}"
        for name, content in where.items()
        for what, pattern in secrets.items()
        if pattern.search(content)
    ]


def in_base64(key: str) -> bytes:
    """The secret in base64, without the last characters, which depend on what follows."""
    return base64.b64encode(f"{key}:".encode())[:-4]


@pytest.fixture(scope="module")
def secrets_environment(
    tmp_path_factory: pytest.TempPathFactory, demo_s3: dict[str, str], prefect_home_template: Path
) -> SecretsEnvironment:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "temporary").mkdir()
    shutil.copytree(prefect_home_template, folder / "prefect")
    return SecretsEnvironment(
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


def write_job(secrets_environment: SecretsEnvironment, name: str, url: str, **changes: Any) -> Path:
    """The demo's job of images in S3, with a separate output."""
    made = yaml.safe_load((ROOT / "configs" / "street-boxes.yaml").read_text())
    made |= {"name": name, "output": str(secrets_environment.folder / name), "max_unlabeled": 1.0, **changes}
    made["scale"] = {**made.get("scale", {}), "url": url, "mode": "test", "timeout": "2s"}
    path = secrets_environment.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def write_signed_job(
    secrets_environment: SecretsEnvironment, name: str, url: str, media: MediaServer, inputs: Path, port: int
) -> Path:
    """A live job of images behind signed URLs, some of which do not exist, and some of which are not valid.

    inputs: a folder that is not searched, for what people write themselves.
    """
    media.serve("/cat.png", served(picture(31, 17), "image/png"))
    signature = f"X-Amz-Credential=AKIA5&X-Amz-Signature={SIGNATURE}&Key-Pair-Id=K&Signature={SIGNATURE}"
    signature += f"&sv=2026-01-01&sig={SIGNATURE}"
    places = [f"{media.url}/cat.png"] * 98 + [f"{media.url}/gone.png", "ftp://x.example/cat.png"]
    rows = [{"id": f"r{number}", "picture": f"{place}?v=1&{signature}"} for number, place in enumerate(places)]
    (inputs / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"type": "categorization", "instruction": "Which is it?", "categories": ["a", "b"]}
    made = job_document(
        inputs,
        name=name,
        task={**task, "attachment_type": "image", "attachment": "{picture}"},
        metadata=["picture"],
        output=str(secrets_environment.folder / name),
        collect={"callback_url": f"http://127.0.0.1:{port}/callback"},
        scale={"url": url, "mode": "live", "timeout": "2s"},
        max_unlabeled=1.0,
    )
    path = inputs / f"{name}.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def serve_collect_and_cancel(secrets_environment: SecretsEnvironment, config: Path, port: int) -> dict[str, bytes]:
    """Run a job that receives callbacks. Returns the stored callbacks."""
    command = [sys.executable, "-m", "flows.receive_callbacks"]
    live = {**secrets_environment.environment, "SCALE_API_KEY": LIVE_KEY}
    with running_command(config, "--port", port, home=secrets_environment.home, command=command, **live) as service:
        wait_until(lambda: is_listening(port))
        assert secrets_environment.run("served", config, "--no-wait", SCALE_API_KEY=LIVE_KEY) == 0, (
            secrets_environment.outputs["served"]
        )
        wait_until(lambda: 'job="served",result="stored"' in metrics(port))
        service.send_signal(signal.SIGTERM)
        output, errors = service.communicate(timeout=30)
    secrets_environment.outputs["the service"] = output + errors
    kept = {
        path.name: path.read_bytes()
        for path in (secrets_environment.folder / "served" / "_ledger" / "callbacks").iterdir()
    }
    for name in ("collect_responses", "cancel_dataset"):
        options = ["--yes"] if name == "cancel_dataset" else []
        command = [sys.executable, "-m", f"flows.{name}"]
        assert secrets_environment.run(name, config, *options, command=command, SCALE_API_KEY=LIVE_KEY) == 0, (
            secrets_environment.outputs[name]
        )
    return kept


def metrics(port: int) -> str:
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text


def is_listening(port: int) -> bool:
    try:
        return bool(metrics(port))
    except requests.ConnectionError:
        return False


def echo_responses(stub_server: StubServer) -> None:
    """Accepts the key at first, then repeats each request and its key in error messages."""

    def answer(method: str, path: str, body: bytes) -> Any:
        if method == "GET":
            return 200, {"docs": [], "total": 0, "has_more": False}, {}
        said = stub_server.requests[-1][3].get("Authorization", "")
        return 401, {"error": f"no such key {KEY} ({said}) for {body.decode()}"}, {}

    stub_server.respond = answer


def collect_outputs(secrets_environment: SecretsEnvironment, *outputs: str) -> dict[str, bytes]:
    """Everything that was printed and written so far; outputs: output folders in S3."""
    places = {f"what {name} said": text.encode() for name, text in secrets_environment.outputs.items()}
    places["the process list"] = b"\n".join(secrets_environment.command_lines)
    for file in (file for file in secrets_environment.folder.rglob("*") if file.is_file()):
        for index, content in enumerate(readable_forms(file.name, file.read_bytes())):
            places[f"{file.relative_to(secrets_environment.folder)} ({index})"] = content
    places["Prefect's database"] = dump_database(secrets_environment.home / "prefect.db")
    assert len(places["Prefect's database"]) > 100_000
    for output in outputs:
        folder = open_folder(output)
        written = [file.name for below in WRITTEN_FILES for file in folder.list(below)]
        assert {"labels", "_ledger"} <= {name.split("/")[0] for name in written}
        for name in written:
            for index, content in enumerate(readable_forms(name, folder.read(name) or b"")):
                places[f"{output}/{name} ({index})"] = content
    return places


def check_all_faults_occurred(url: str) -> None:
    """Requests, tasks and callbacks had faults; there are too few to have every kind."""
    met = requests.get(url.replace("/v1", "/sandbox/faults"), timeout=10).json()
    assert set(met) == set(KINDS_BY_NAME)
    assert {str(KINDS_BY_NAME[name].target) for name, count in met.items() if count} >= set(RATES), met


def test_labeling_leaks_no_secret(
    secrets_environment: SecretsEnvironment,
    demo_s3: dict[str, str],
    stub_server: StubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", CALLBACK_KEY)
    for name, value in demo_s3.items():
        monkeypatch.setenv(name, value)
    output, port = f"s3://{BUCKET}/secrets/full", free_port()
    with running(faults=all_faults(), callback_day=60, log=secrets_environment.folder / "sandbox.log") as url:
        called = {
            "wait": "callback",
            "callback_url": f"http://127.0.0.1:{port}/callback",
            "port": port,
            "poll_interval": "1s",
        }
        full = write_job(secrets_environment, "full", url, collect=called)
        assert secrets_environment.run("full", full, "--output", output) == 0, secrets_environment.outputs["full"]
        slow = write_job(secrets_environment, "stopped", url, submit={"rate": "2/s"})
        assert secrets_environment.run("stopped", slow, stop=True) == 130, secrets_environment.outputs["stopped"]
        crashed = [sys.executable, "-c", CRASH_SCRIPT]
        assert (
            secrets_environment.run("crashed", write_job(secrets_environment, "crashed", url), command=crashed) == 1
        ), secrets_environment.outputs["crashed"]
        check_all_faults_occurred(url)
    echo_responses(stub_server)
    assert secrets_environment.run("refused", write_job(secrets_environment, "refused", stub_server.url)) == 1, (
        secrets_environment.outputs["refused"]
    )

    # The search proves nothing unless these secrets were used.
    asked = [body for method, _, body, _ in stub_server.requests if method == "POST"]
    assert SIGNATURES.search(b"".join(asked))
    assert "no such key" in secrets_environment.outputs["refused"]
    assert "Internal error" in secrets_environment.outputs["crashed"]
    nets = list((secrets_environment.folder / "temporary").rglob("labelflow-*.txt"))
    assert any("a bug, met with" in net.read_text() for net in nets)

    places = collect_outputs(secrets_environment, output)
    assert b"label-full" in places["Prefect's database"]
    assert find_leaks(places) == []


def test_receiver_and_later_commands_leak_no_secret(
    secrets_environment: SecretsEnvironment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The manifest contains signed URLs."""
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", CALLBACK_KEY)
    media, port = MediaServer(), free_port()
    with running(
        faults=all_faults(), turnaround="0.2-60", callback_day=60, log=secrets_environment.folder / "live.log"
    ) as url:
        callbacks = serve_collect_and_cancel(
            secrets_environment, write_signed_job(secrets_environment, "served", url, media, tmp_path, port), port
        )
        check_all_faults_occurred(url)
    media.close()
    assert callbacks, "the receiver stored callbacks"
    assert any(SIGNATURE in path for _, path, _ in media.requests)
    assert {"labels", "rejects", "errors"} <= {path.name for path in (secrets_environment.folder / "served").iterdir()}

    places = collect_outputs(secrets_environment)
    places |= {f"the callback {name}": b"".join(readable_forms(name, content)) for name, content in callbacks.items()}
    assert b"cancel-" in places["Prefect's database"]
    assert find_leaks(places) == []


def test_leak_search_detects_every_secret() -> None:
    basic = base64.b64encode(f"{LIVE_KEY}:".encode())
    url = b"http://x/y?X-Amz-Credential=AKIA%2F2026&X-Amz-Signature=0a1b"
    assert (
        len(find_leaks({"all": b" ".join([KEY.encode(), basic, CALLBACK_KEY.encode(), AWS_SECRET.encode(), url])})) == 5
    )
    assert find_leaks({"none": b"http://x/y?X-Amz-Signature= and X-Amz-Credential"}) == []
    table = pa.table({"attachment": [url.decode()]})
    packed = pa.compress(url, codec="zstd", asbytes=True)
    assert len(find_leaks({"all": b"".join(readable_forms("a.jsonl.zst", packed))})) == 1
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    assert find_leaks(dict(enumerate(readable_forms("a.parquet", sink.getvalue().to_pybytes())))) != []  # type: ignore[arg-type]
