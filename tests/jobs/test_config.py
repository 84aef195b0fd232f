"""Invalid configs: one message with the file, the field, the problem and the fix."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labelflow.cli.prepared_run import from_parameter
from labelflow.errors import InvalidInput
from labelflow.jobs.config import load_job, with_environment
from labelflow.jobs.connection import describe_connection
from labelflow.jobs.credentials.keys import read_key
from labelflow.jobs.job import Job
from labelflow.ledger.job_record import load_config, save_config
from labelflow.storage.opening import open_folder
from tests.support.jobs import make_job, write_config

INVALID_CONFIGS: list[tuple[dict[str, Any], list[str]]] = [
    ({"nmae": "x"}, ["nmae", "is not a known key", "did you mean `name`?"]),
    ({"submit__concurency": 3}, ["submit.concurency", "did you mean `concurrency`?"]),
    ({"name": ...}, ["name", "is required"]),
    ({"output": "a\0b"}, ["output", "a path"]),
    ({"manifest__uri": " "}, ["manifest.uri", "a path"]),
    ({"submit": None}, ["submit", "got None", "a mapping"]),
    ({"foo.bar": 5}, ["foo.bar", "is not a known key"]),
    ({"task__type": "{text}"}, ["task.type", "'{text}'", "categorization"]),
    ({"task__type": "categorisation"}, ["task.type", "did you mean `categorization`?"]),
    ({"collect__poll_interval": "99999999999999999d"}, ["collect.poll_interval", "30s"]),
    ({"attachments__presign": "0.5s"}, ["attachments.presign", "1 minute"]),
    ({"submit__price_per_task": float("inf")}, ["submit.price_per_task", "finite"]),
    ({"scale__url": "http://127.0.0.1:99999"}, ["scale.url", "port"]),
    ({"scale__url": "foo"}, ["scale.url", "http://"]),
    ({"scale__url": "https://me:secret@host/v1"}, ["scale.url", "contains an @", "remove"]),
    ({"collect__callback_url": "https://me:secret@host/v1"}, ["collect.callback_url", "contains an @"]),
    ({"name": "a/b"}, ["name", "'a/b'", "letters"]),
    ({"manifest": "x.jsonl"}, ["manifest", "a mapping"]),
    ({"manifest__row_id": ...}, ["manifest.row_id", "is required"]),
    ({"submit__concurrency": 0}, ["submit.concurrency", "got 0", "at least 1"]),
    ({"submit__concurrency": "many"}, ["submit.concurrency", "'many'", "a whole number"]),
    ({"submit__rate": "fast"}, ["submit.rate", "'fast'", "50/s"]),
    ({"submit__max_cost": 3}, ["max_cost", "price_per_task"]),
    ({"collect__poll_interval": "soon"}, ["collect.poll_interval", "'soon'", "30s"]),
    ({"collect__wait": "pigeon"}, ["collect.wait", "'pigeon'", "'poll'"]),
    ({"attachments__check": "some"}, ["attachments.check", "'some'", "'auto'"]),
    ({"attachments__presign": "8d"}, ["attachments.presign", "7 days"]),
    ({"max_unlabeled": "150%"}, ["max_unlabeled", "5%"]),
    ({"scale__mode": "real"}, ["scale.mode", "'real'", "'test'"]),
    ({"scale__key": "live_abc"}, ["scale.key", "is not a reference to a secret", "env:SCALE_API_KEY"]),
    ({"metadata": ["fingerprint"]}, ["metadata", "'fingerprint'", "rename"]),
    ({"task__type": ...}, ["task.type", "is required", "categorization"]),
    ({"task__instruction": ...}, ["task.instruction", "is required"]),
    ({"task__categories": "a"}, ["task.categories", "'a'", "a list"]),
    ({"task__catgories": ["a"]}, ["task.catgories", "did you mean `categories`?"]),
    ({"task__unique_id": "x"}, ["task.unique_id", "set by the job"]),
    ({"task__clear_unique_id_on_error": True}, ["task.clear_unique_id_on_error", "paid twice", "remove it"]),
    ({"task__clear_unique_id_on_error": "{text}"}, ["task.clear_unique_id_on_error", "paid twice", "remove it"]),
    ({"task__urgency": "now"}, ["task.urgency", "'now'", "'day'"]),
    ({"task__callback_url": "nowhere"}, ["task.callback_url", "'nowhere'", "https://"]),
    ({"task__attachment_type": ...}, ["task.attachment_type", "is required", "use one of text, image, video, audio"]),
    ({"task__attachment_type": "smell"}, ["task.attachment_type", "'smell'", "'image'"]),
    (
        {"task": {"type": "annotation", "attachment": "{text}", "objects_to_annotate": list("abcdefg")}},
        ["task.objects_to_annotate", "has 7 objects", "at most 6"],
    ),
]


@pytest.mark.parametrize(("change", "words"), INVALID_CONFIGS, ids=lambda value: str(value)[:40])
def test_config_error_is_named(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    path = write_config(tmp_path, **change)
    with pytest.raises(InvalidInput) as caught:
        load_job(str(path))
    for word in [str(path), *words]:
        assert word in str(caught.value)
    assert "live_abc" not in str(caught.value)


@pytest.mark.parametrize("value", [True, "maybe", 1])
def test_option_that_frees_unique_ids_gives_one_message(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_job(str(write_config(tmp_path, task__clear_unique_id_on_error=value)))
    assert str(caught.value).count("clear_unique_id_on_error") == 1
    assert load_job(str(write_config(tmp_path, task__clear_unique_id_on_error=False)))


def test_all_config_errors_are_reported_at_once(tmp_path: Path) -> None:
    path = write_config(tmp_path, nmae="x", submit__concurrency=0)
    with pytest.raises(InvalidInput) as caught:
        load_job(str(path))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name: [", "line"),
        (b"- a\n- b", "is not a job"),
        (b"", "is not a job"),
        (b"name: \xff", "is not UTF-8"),
        (b"name: a\x00b", "is not valid YAML"),
        (b"submit: {max_tasks: 1}\nsubmit: {rate: 5/s}", 'line 2: .*duplicate key "submit"'),
        (b"task: &x {a: *x}", "is not valid YAML"),
        (b'name: "\\ud83d"', "is not valid YAML"),
        (b"[" * 3000, "is not valid YAML"),
    ],
)
def test_file_that_is_not_a_valid_config(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        load_job(str(path))


def test_config_is_yaml_1_2_and_text_fields_take_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(
        """
        name: 2026
        manifest: {uri: rows.csv, row_id: 1}
        task:
          {type: categorization, instruction: Which?, attachment_type: text, attachment: "{text}",
           categories: [yes, no, 012, 1.0, 0x1F, true, 12:30, 2026-01-01, =]}
        metadata: [channel, 7]
        attachments: {check: off}
        submit: {max_tasks: 1_000, price_per_task: .5}
        collect: {poll_interval: 30}
        output: out
        """
    )
    job = load_job(str(path))
    assert (job.name, job.manifest.row_id, job.metadata) == ("2026", "1", ["channel", "7"])
    assert job.task["instruction"] == "Which?"
    assert job.task["categories"] == ["yes", "no", "012", "1.0", "0x1F", "true", "12:30", "2026-01-01", "="]
    assert (job.attachments.check, job.submit.max_tasks, job.submit.price_per_task) == ("off", 1000, 0.5)
    assert job.collect.poll_interval == timedelta(seconds=30)


def test_numbers_of_an_unknown_type_stay_numbers(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(
        "name: a\nmanifest: {uri: r.csv, row_id: id}\ntask: {type: newtype, scale: 010, on: true}\noutput: out"
    )
    assert load_job(str(path)).task == {"type": "newtype", "scale": 10, "on": True}


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        load_job(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.yaml")), ids=str)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert load_job(str(path)).name == path.stem


def test_unit_suffixes(tmp_path: Path) -> None:
    job = make_job(
        tmp_path, submit__rate="600/m", collect__poll_interval="1.5h", attachments__presign="1d", max_unlabeled="5%"
    )
    assert job.submit.rate == 10
    assert job.collect.poll_interval == timedelta(minutes=90)
    assert job.attachments.presign == timedelta(days=1)
    assert job.allowed_unlabeled(1000) == 50
    assert make_job(tmp_path, max_unlabeled="29%").allowed_unlabeled(100) == 29


def test_job_round_trips_through_json(tmp_path: Path) -> None:
    """Prefect stores the parameters of a flow run as JSON."""
    job = make_job(tmp_path, submit__rate="50/s", max_unlabeled=7, collect__poll_interval="45s")
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_smaller_of_max_tasks_and_max_cost_applies(tmp_path: Path) -> None:
    assert make_job(tmp_path).submit.cap() is None
    assert make_job(tmp_path, submit__max_tasks=5).submit.cap() == 5
    prices = {"submit__price_per_task": 0.1, "submit__max_cost": 0.3}
    assert make_job(tmp_path, **prices).submit.cap() == 3
    assert make_job(tmp_path, submit__max_tasks=2, **prices).submit.cap() == 2


def test_command_line_overrides_the_config(tmp_path: Path) -> None:
    job = load_job(str(write_config(tmp_path)), manifest="other.csv", output="s3://b/p")
    assert (job.manifest.uri, job.output) == ("other.csv", "s3://b/p")


LIVE, OTHER, SANDBOX = "https://api.scale.com/v1", "https://other.example/v1", "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("in_config", "in_environment", "expected"),
    [(None, None, LIVE), (None, SANDBOX, SANDBOX), (OTHER, SANDBOX, OTHER), (LIVE, SANDBOX, LIVE)],
)
def test_url_of_the_config_is_used_and_else_that_of_the_environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_config: str | None,
    in_environment: str | None,
    expected: str,
) -> None:
    monkeypatch.delenv("SCALE_API_URL", raising=False)
    if in_environment:
        monkeypatch.setenv("SCALE_API_URL", in_environment)
    scale = {"url": in_config} if in_config else {}
    job = load_job(str(write_config(tmp_path, scale={"mode": "test", **scale})))
    assert job.scale.url == expected
    folder = open_folder(str(tmp_path / "out"))
    save_config(folder, job)
    copy = load_config(folder)
    assert copy is not None
    assert copy.scale.url == in_config or (in_config is None and copy.scale.url == LIVE)
    assert with_environment(copy).scale.url == expected


def test_default_url_that_a_form_has_written_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_URL", SANDBOX)
    assert from_parameter(make_job(tmp_path, scale={"url": LIVE})).scale.url == SANDBOX
    assert from_parameter(make_job(tmp_path, scale={"url": OTHER})).scale.url == OTHER


def test_key_that_the_job_names_is_used_and_else_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_all")
    monkeypatch.setenv("TEAM_A_KEY", "test_team_a")
    named = make_job(tmp_path, scale={"key": "env:TEAM_A_KEY"})
    assert (read_key(named), read_key(make_job(tmp_path))) == ("test_team_a", "test_all")
    assert describe_connection(named) == f"{LIVE}, mode test, key from TEAM_A_KEY"
    monkeypatch.delenv("TEAM_A_KEY")
    with pytest.raises(InvalidInput, match=r"scale\.key: TEAM_A_KEY is not set"):
        read_key(named)


@pytest.mark.parametrize(
    ("key", "mode", "words"),
    [
        (None, "test", "SCALE_API_KEY is not set"),
        ("live_abc", "test", "the key is a live key"),
        ("test_abc", "live", "the key is a test key"),
        ("abc", "test", "the key is a live key"),
        ("test_a b", "test", "is not a valid API key"),
    ],
)
def test_key_for_the_other_mode_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, mode: str, words: str
) -> None:
    monkeypatch.delenv("SCALE_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("SCALE_API_KEY", key)
    with pytest.raises(InvalidInput, match=words) as caught:
        read_key(make_job(tmp_path, scale__mode=mode))
    assert key is None or key not in str(caught.value)


@pytest.mark.parametrize("url", ["https://me:pass5e3c@host/v1", "https://me:pass5e3c/x@host/v1", "me:pass5e3c@host"])
def test_password_in_a_url_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.delenv("SCALE_API_URL", raising=False)
    job = make_job(tmp_path)
    path = str(write_config(tmp_path, scale={"url": url}))
    with pytest.raises(InvalidInput, match=r"scale.url: contains an @.*; remove") as in_config:
        load_job(path)
    monkeypatch.setenv("SCALE_API_URL", url)
    path = str(write_config(tmp_path))
    with pytest.raises(InvalidInput, match=r"^SCALE_API_URL: contains an @") as for_config:
        load_job(path)
    with pytest.raises(InvalidInput, match=r"^SCALE_API_URL: contains an @") as for_folder:
        with_environment(job)
    assert "pass5e3c" not in f"{in_config.value} {for_config.value} {for_folder.value}"


@pytest.mark.parametrize("url", ["http://10.0.0.1/v1", "http://scale.example/v1", "http://127.0.0.1.example:80/v1"])
def test_live_key_is_not_sent_over_a_network_without_encryption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for key, mode in (("live_5e3c", "live"), ("5e3c", "live")):
        monkeypatch.setenv("SCALE_API_KEY", key)
        with pytest.raises(
            InvalidInput, match=f"scale.url: {url} would receive the live key without encryption; use ht"
        ):
            read_key(make_job(tmp_path, scale={"url": url, "mode": mode}))
    monkeypatch.setenv("SCALE_API_KEY", "test_5e3c")
    assert read_key(make_job(tmp_path, scale={"url": url})) == "test_5e3c"


@pytest.mark.parametrize("host", ["http://127.0.0.1:4020", "http://localhost", "http://[::1]:1", "https://a.example"])
def test_live_key_is_sent_over_tls_and_to_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_5e3c")
    assert read_key(make_job(tmp_path, scale={"url": f"{host}/v1", "mode": "live"})) == "live_5e3c"
