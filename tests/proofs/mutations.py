"""Break the product on purpose, one promise at a time, and see that its proofs notice: make mutations [NAME=...]

Each mutation is made in a copy of the tree. The proofs must pass on an unchanged copy, and fail on each changed one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXCLUDED = (".git", ".venv", "out", "docs", "benchmarks", "__pycache__", ".*_cache", "*.egg-info")
EVIDENCE = re.compile(
    r"(WRONG: .*|FAILED .*|(duplicates|rows lost|files unreadable|rows seen twice) +[1-9].*)", re.MULTILINE
)
EXIT_FAILED = 1  # the exit status of pytest, and of the chaos, where a promise was broken; other trouble has others
PROOF_TIMEOUT = 1200.0  # seconds that a proof may take


@dataclass(frozen=True)
class Mutation:
    """A bug: text of a file, its replacement, and the proofs that must fail."""

    name: str
    file: str
    changes: dict[str, str]
    proofs: tuple[tuple[str, ...], ...]


def chaos_proof(kills: int, api_version: str = "current", seed: int = 20_261_124) -> tuple[str, ...]:
    """Return the chaos proof with this number of kills."""
    options = ["--kills", str(kills), "--command-kills", "0", "--api", api_version, "--store", "disk"]
    return ("tests.proofs.chaos", *options, "--seed", str(seed))


OUTAGE_PROOF = (
    "pytest",
    "-x",
    "tests/proofs/test_outages.py::test_server_lost_during_submission_ends_the_run_and_the_next_run_resumes",
)

CREATE = "            task = self._context.client.create_task(self._job.task_type, body, find)\n"

MUTATIONS = (
    Mutation(
        "no unique_id",
        "labelflow/submission/payload.py",
        {
            'return {**params, **row.common, "unique_id": row.unique_id, "metadata": metadata}': (
                'return {**params, **row.common, "metadata": metadata}'
            )
        },
        (chaos_proof(8),),
    ),
    Mutation(
        "the ledger is written before the POST",
        "labelflow/submission/submitter.py",
        {
            CREATE: (
                "            made_up = Task.parse({'task_id': row.unique_id, 'status': 'pending', 'type': 'x'})\n"
                "            record = replace(_submission(row, made_up), created_at=datetime.now(UTC))\n"
                "            self._context.ledger.record([record])\n" + CREATE
            )
        },
        (OUTAGE_PROOF, chaos_proof(3)),
    ),
    Mutation(
        "no fingerprint",
        "labelflow/submission/submitter.py",
        {'if is_own and task.metadata.get("fingerprint") == row.fingerprint:': "if is_own:"},
        (chaos_proof(3), chaos_proof(3, "2017")),
    ),
    Mutation(
        "a plain write instead of a rename",
        "labelflow/storage/local.py",
        {
            "            with self._temporary(target) as temporary:\n"
            '                with temporary.open("xb") as file:': (
                "            if not target.parent.mkdir(parents=True, exist_ok=True):\n"
                '                with target.open("wb") as file:'
            ),
            "                temporary.replace(target)\n": "",
        },
        (chaos_proof(30),),
    ),
)


def main() -> int:
    """Try all mutations, or the named one. Returns 1 if a proof passes with one, or fails without one."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.mutations", description=__doc__)
    parser.add_argument("--name", help="only the mutation that is called so", choices=[one.name for one in MUTATIONS])
    wanted = parser.parse_args().name
    chosen = [one for one in MUTATIONS if wanted in (None, one.name)]
    for one in chosen:
        mutated(one)  # before the first run, so that a missing string is reported at once
    proofs = dict.fromkeys(proof for one in chosen for proof in one.proofs)
    passed = [passes(proof) for proof in proofs]
    detected = [detects(one, proof) for one in chosen for proof in one.proofs]
    return 0 if all(passed) and all(detected) else 1


def passes(proof: tuple[str, ...]) -> bool:
    """Whether a proof passes without a mutation."""
    status, said = run_proof(proof, {})
    found = evidence(said) if status else "nothing wrong"
    print(f"{'sound' if status == 0 else 'FAILS'}: {format_proof(proof)}: {found}", flush=True)
    return status == 0


def detects(mutation: Mutation, proof: tuple[str, ...]) -> bool:
    """Whether a proof fails for the product with a mutation."""
    status, said = run_proof(proof, {mutation.file: mutated(mutation)})
    is_detected = status == EXIT_FAILED and EVIDENCE.search(said) is not None
    print(
        f"{'noticed' if is_detected else 'UNNOTICED'}: {mutation.name}, by {format_proof(proof)}: {evidence(said)}",
        flush=True,
    )
    return is_detected


def mutated(mutation: Mutation) -> str:
    """The changed file. Raises ValueError unless it contains the text exactly once."""
    content = (ROOT / mutation.file).read_text()
    for before, after in mutation.changes.items():
        if content.count(before) != 1:
            raise ValueError(f"{mutation.name}: {mutation.file} has {before!r} {content.count(before)} times, not once")
        content = content.replace(before, after)
    return content


def run_proof(proof: tuple[str, ...], files: dict[str, str]) -> tuple[int, str]:
    """The exit status and the output of a proof in a copy of the tree with changed files."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as temporary:
        copy = Path(temporary) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*EXCLUDED))
        for name, content in files.items():
            (copy / name).write_text(content)
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        completed = subprocess.run(
            [sys.executable, "-m", *proof],
            cwd=copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PROOF_TIMEOUT,
        )
    return completed.returncode, completed.stdout


def format_proof(proof: tuple[str, ...]) -> str:
    """The name of a proof in the output."""
    return " ".join(proof).removesuffix(" --seed 20261124")


def evidence(said: str) -> str:
    """The end of a proof's output."""
    found = EVIDENCE.search(said)
    return found[0][:200] if found else said[-300:]


if __name__ == "__main__":
    sys.exit(main())
