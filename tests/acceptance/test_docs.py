"""The pages tell the truth: their commands run, their Python runs on what the commands made, their jobs are jobs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel

from labelflow.accounting.summary import Summary
from labelflow.jobs.job import Job, Section
from tests.proofs.callbacks.service import free_port
from tests.support.commands import ROOT, environment
from tests.support.jobs import TEXT_TASK
from tests.support.media_server import MediaServer, file_response, picture
from tests.support.sandbox import running_in_process

PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
REPOSITORY_PATH = re.compile(r"`((?:labelflow|flows|tasks|tests|docs|examples|configs)/[\w/.-]+)`")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:python -m|make|prefect) [^`\n]+)`")
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ +)*(python|labelflow|make|prefect|curl|export)\b")
DOCS_PORT = "4020"  # of the sandbox, as the pages have it
SKIPPED_COMMANDS = {  # by how a command begins: why it is not run here
    "make ": "its targets are what CI and people run; here they are held against the Makefile",
    "prefect server start": "run by test_deployments.py, on a port of its own",
    "prefect work-pool create local-process": "run by test_deployments.py",
    "prefect --no-prompt deploy --all": "run by test_deployments.py",
    "SCALE_API_KEY=... prefect worker start": "run by test_deployments.py",
    "prefect deployment run label-dataset/label": "run by test_deployments.py, with a job of its own",
    "prefect work-pool create label-docker": "needs prefect-docker, and Docker",
    "prefect work-pool create label-k8s": "needs prefect-kubernetes, and a cluster",
    "prefect work-pool create label-ecs": "needs prefect-aws, and an account",
    "prefect server database upgrade": "needs a PostgreSQL",
    "labelflow completion fish": "needs fish; test_completion.py prints the code",
    "python -m benchmarks": "takes many minutes; `make bench` runs it",
}


@dataclass
class DocsEnvironment:
    """A folder with a small job, a sandbox and a Prefect server: what the pages take for granted."""

    folder: Path
    sandbox_port: str  # of the sandbox
    environment: dict[str, str]

    def run(self, command: list[str], exported: dict[str, str]) -> str:
        """What a command says, which must end well."""
        there = {**self.environment, **exported}
        done = subprocess.run(command, cwd=self.folder, env=there, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def docs_environment(tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Iterator[DocsEnvironment]:
    folder, media = tmp_path_factory.mktemp("docs"), MediaServer()
    uri = media.serve("/street.png", file_response(picture(64, 48), "image/png"))
    rows = [{"image_id": f"r{number}", "image_uri": uri} for number in range(30)]
    (folder / "again.txt").write_text("r0\nr1\n")
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "type": "annotation",
        "instruction": "Draw a box around each car.",
        "attachment": "{image_uri}",
        "objects_to_annotate": ["car"],
        "with_labels": True,
    }
    job = {"name": "street-boxes", "manifest": {"uri": "manifest.jsonl", "row_id": "image_id"}, "task": task}
    (folder / "my-job.yaml").write_text(yaml.safe_dump({**job, "output": "out/street-boxes"}))
    (folder / "docs").symlink_to(ROOT / "docs")
    with running_in_process() as url:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        named = {"PREFECT_API_URL": prefect_api, "SCALE_API_URL": url, "PYTHONPATH": str(ROOT), "PATH": path}
        port = url.rpartition(":")[2].partition("/")[0]
        yield DocsEnvironment(folder, port, environment(folder / "prefect", **named))
    media.close()


def commands_in(block: str) -> list[str]:
    """The commands of a block, each in one line, without comments; those of one that shows something else are none."""
    joined = re.sub(r"\s*\\\n\s*|\n\s+", " ", block)
    return [line.partition("    #")[0].strip() for line in joined.splitlines() if COMMAND.match(line)]


def help_text(module: str) -> str:
    """What a module's --help says."""
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def check_synopsis(words: list[str]) -> None:
    """`python -m flows.x CONFIG... [--option]`: the options are there."""
    known = help_text(words[2])
    for option in [word.strip("[]") for word in words[3:] if word.strip("[]").startswith("--")]:
        assert option in known, words


def check_make_target(words: list[str]) -> None:
    """`make target NAME=value`: the target is there, and knows the name."""
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
    for word in words[2:]:
        assert f"$({word.partition('=')[0]})" in makefile, words


def start_sandbox(command: str, docs_environment: DocsEnvironment) -> None:
    """It listens, on a port that is free."""
    words = shlex.split(command.replace(DOCS_PORT, str(free_port())))
    there = docs_environment.environment
    with subprocess.Popen(words, cwd=docs_environment.folder, env=there, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("Sandbox listening on http://127.0.0.1:")
        finally:
            process.terminate()


def execute(command: str, docs_environment: DocsEnvironment, exported: dict[str, str]) -> None:
    """Run a command, or check as much of it as can be."""
    words = shlex.split(command)
    if words[0] == "make":
        check_make_target(words)
    elif words[0] == "export":
        exported |= dict(word.replace(DOCS_PORT, docs_environment.sandbox_port).split("=", 1) for word in words[1:])
    elif any(command.startswith(beginning) for beginning in SKIPPED_COMMANDS):
        return
    elif "CONFIG" in command:
        check_synopsis(words)
    elif words[:3] == ["python", "-m", "labelflow.sandbox"]:
        start_sandbox(command, docs_environment)
    else:
        assert words[0] in ("python", "labelflow", "curl", "prefect"), (
            f"{command}: not run here, and no reason is given"
        )
        docs_environment.run(["bash", "-c", command.replace(DOCS_PORT, docs_environment.sandbox_port)], exported)


def check_yaml(block: str) -> None:
    """It is a job, or a part of one; or of prefect.yaml, where it says so."""
    document = yaml.safe_load(block)
    if block.startswith("# prefect.yaml"):
        understood = PrefectYamlModel.model_validate(document)
        assert understood.model_dump(by_alias=True, exclude_unset=True) == document
        return
    base = {"name": "x", "manifest": {"uri": "m.csv", "row_id": "id"}, "task": TEXT_TASK, "output": "out"}
    Job.model_validate({**base, **document})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_of_a_page_run(page: Path, docs_environment: DocsEnvironment) -> None:
    """In the order of the page: its Python reads what its commands made."""
    text = page.read_text()
    for language, block in FENCED.findall(text):
        if language == "python":
            code = "import duckdb, pandas, polars, scaleapi\n" + block.replace(DOCS_PORT, docs_environment.sandbox_port)
            docs_environment.run([sys.executable, "-c", code], {})
        elif language in ("", "bash", "sh"):
            exported: dict[str, str] = {}
            for command in commands_in(block):
                execute(command, docs_environment, exported)
        elif language == "yaml":
            check_yaml(block)
    for command in INLINE.findall(FENCED.sub("", text)):
        words = command.split()
        if words[0] == "make":
            check_make_target(words)
        elif "CONFIG" in command:
            check_synopsis(words)
        else:
            assert any(command.startswith(beginning) for beginning in SKIPPED_COMMANDS), command


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(FENCED.sub("", page.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", FENCED.sub("", linked.read_text()), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in anchors, f"{page.name}: {target}#{anchor}"


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_files_named_by_a_page_exist(page: Path) -> None:
    for path in REPOSITORY_PATH.findall(page.read_text()):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_summary_fields_are_documented() -> None:
    table = (ROOT / "docs" / "label.md").read_text().partition("## `summary.json`")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    documented = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(documented) == sorted(field.name for field in fields(Summary))


def test_config_keys_are_documented() -> None:
    page = (ROOT / "docs" / "jobs.md").read_text()
    documented = re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE)
    keys = {key.partition(".")[0] for cell in documented for key in re.findall(r"`([a-z_0-9.*]+)`", cell)}
    assert set(Job.model_fields) <= keys
    for name, field in Job.model_fields.items():
        section = field.annotation
        if name != "runner" and isinstance(section, type) and issubclass(section, Section):
            for key in section.model_fields:
                assert f"`{name}.{key}`" in page


def test_code_block_is_parsed_like_a_shell_does() -> None:
    assert commands_in("$ no\npython -m a \\\n  -b c    # why\nX=1 make d\n    --e\n<out>/ python\n") == [
        "python -m a -b c",
        "X=1 make d --e",
    ]
